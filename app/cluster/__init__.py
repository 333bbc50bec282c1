"""Many machines: work on Celery and RabbitMQ, records in PostgreSQL, files on a shared volume."""

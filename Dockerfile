# Two images: `cuda` (the default, for production) and `cpu`. Docker 23 or newer builds them:
#   docker build -t mouthpiece:cuda .
#   docker build -t mouthpiece:cpu --target cpu .
#
# The base is slim Python in both. An nvidia/cuda base would bring CUDA and cuDNN a second time, several
# gigabytes that nobody loads: the wheels of torch and onnxruntime-gpu depend on the wheels of the CUDA release
# that they were built for, and the driver comes from the host through the NVIDIA Container Toolkit.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS python
ENV PATH=/opt/venv/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/venv


FROM python AS cpu-packages
ARG CLUSTER=0
ARG OTEL=0
COPY requirements/cpu.txt requirements/cluster.txt requirements/otel.txt /
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --require-hashes -r /cpu.txt \
    && if [ "$CLUSTER" = 1 ]; then pip install --require-hashes --no-deps -r /cluster.txt; fi \
    && if [ "$OTEL" = 1 ]; then pip install --require-hashes --no-deps -r /otel.txt; fi


FROM python AS cuda-packages
ARG CLUSTER=0
ARG OTEL=0
COPY requirements/cuda.txt requirements/cluster.txt requirements/otel.txt /
# --no-deps: the list is complete, but for opencv-python, which face-alignment asks for and which would
# overwrite opencv-python-headless; both are the module cv2.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --require-hashes --no-deps -r /cuda.txt \
    && if [ "$CLUSTER" = 1 ]; then pip install --require-hashes --no-deps -r /cluster.txt; fi \
    && if [ "$OTEL" = 1 ]; then pip install --require-hashes --no-deps -r /otel.txt; fi


FROM cuda-packages AS s3fd-weights
# The weights of the optional detector, 90 MB, under their authors' terms: --build-arg S3FD_WEIGHTS=0 leaves
# them out. The file's name ends with the start of its digest, which check_hash compares.
ARG S3FD_WEIGHTS=1
ENV TORCH_HOME=/opt/torch
RUN mkdir -p "$TORCH_HOME" \
    && if [ "$S3FD_WEIGHTS" = 1 ]; then python -c "\
from torch.hub import load_state_dict_from_url as load; \
from face_alignment.detection.sfd.sfd_detector import models_urls; \
load(models_urls['s3fd'], map_location='cpu', check_hash=True, weights_only=True)" \
        || { echo "The weights could not be fetched; --build-arg S3FD_WEIGHTS=0 builds without them." >&2; exit 1; }; fi


FROM cpu-packages AS package
WORKDIR /build
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY demo/portrait.mp4 demo/speech.wav demo/
COPY models/LICENSE models/mouthpiece*.onnx models/mouthpiece*.json models/
COPY app app
RUN pip install --no-cache-dir --no-deps --no-build-isolation --prefix /package .


FROM python AS service
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Mouthpiece" \
      org.opencontainers.image.description="Makes a filmed person say new words, over HTTP (Wav2Lip)." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A named volume takes over the owner of the folder that it is mounted on.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /srv/mouthpiece --shell /usr/sbin/nologin mouthpiece \
    && install -d -o mouthpiece -g mouthpiece /srv/mouthpiece/avatars /srv/mouthpiece/data /srv/mouthpiece/frames
# Packages are compiled to bytecode as they are installed, and cannot be written to afterwards.
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MOUTHPIECE_HOST=0.0.0.0 \
    MOUTHPIECE_PORT=8000 \
    MOUTHPIECE_MODELS_DIR=/srv/mouthpiece/models \
    MOUTHPIECE_AVATARS_DIR=/srv/mouthpiece/avatars \
    MOUTHPIECE_DATA_DIR=/srv/mouthpiece/data \
    MOUTHPIECE_LOG_FORMAT=json
WORKDIR /srv/mouthpiece
VOLUME ["/srv/mouthpiece/avatars", "/srv/mouthpiece/data"]
EXPOSE 8000
STOPSIGNAL SIGTERM
# No proxy of the environment may stand between: the check is for this container only.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['MOUTHPIECE_PORT'] + '/livez', timeout=4)"]
CMD ["mouthpiece", "serve"]


FROM service AS cpu
ENV MOUTHPIECE_DEVICE=cpu
COPY --from=cpu-packages /opt/venv /opt/venv
COPY --from=package /package /opt/venv
USER 10001:10001


FROM service AS cuda
# Without a GPU the service must say so, rather than work on at a tenth of the speed: hence not `auto`. numba, which
# face-alignment is built on, refuses to work without a folder for its machine code.
ENV MOUTHPIECE_DEVICE=cuda \
    NUMBA_CACHE_DIR=/srv/mouthpiece/data/cache/numba \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video \
    TORCH_HOME=/opt/torch
COPY --from=cuda-packages /opt/venv /opt/venv
COPY --from=s3fd-weights /opt/torch /opt/torch
COPY --from=package /package /opt/venv
USER 10001:10001

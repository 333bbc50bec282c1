CREATE TABLE public.jobs (
    number bigint NOT NULL,
    id character varying(63) NOT NULL,
    kind character varying(16) NOT NULL,
    state character varying(16) NOT NULL,
    avatar_id character varying(63) NOT NULL,
    params json NOT NULL,
    frames_done integer NOT NULL,
    frames_total integer NOT NULL,
    fps double precision NOT NULL,
    attempts integer NOT NULL,
    deaths integer DEFAULT 0 NOT NULL,
    owner character varying(64),
    waited_for boolean DEFAULT false NOT NULL,
    error json,
    warnings json DEFAULT '[]'::json NOT NULL,
    cancel_requested_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    revision integer NOT NULL
);
CREATE SEQUENCE public.jobs_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.jobs_number_seq OWNED BY public.jobs.number;
CREATE TABLE public.schema_version (
    version integer NOT NULL
);
CREATE SEQUENCE public.schema_version_version_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.schema_version_version_seq OWNED BY public.schema_version.version;
ALTER TABLE ONLY public.jobs ALTER COLUMN number SET DEFAULT nextval('public.jobs_number_seq'::regclass);
ALTER TABLE ONLY public.schema_version ALTER COLUMN version SET DEFAULT nextval('public.schema_version_version_seq'::regclass);
INSERT INTO public.jobs VALUES (1, 'avatar-made', 'avatar', 'succeeded', 'anna', '{"face": "left", "filename": "anna.mp4"}', 200, 200, 80, 1, 0, NULL, false, NULL, '[{"code": "unknown-fields", "detail": "There is no parameter ''colour''; it was ignored.", "seconds": null}]', NULL, '2026-11-29 08:25:32.419948+00', '2026-11-29 08:25:32.435831+00', '2026-11-29 08:25:32.444268+00', 2);
INSERT INTO public.jobs VALUES (2, 'render-failed', 'render', 'failed', 'anna', '{"fps": 25.0, "quality": "high"}', 0, 0, 0, 1, 0, NULL, false, '{"type": "urn:mouthpiece:problem:internal-error", "title": "Internal error", "status": 500, "detail": "It broke."}', '[]', NULL, '2026-11-29 08:25:32.450155+00', '2026-11-29 08:25:32.458355+00', '2026-11-29 08:25:32.463755+00', 2);
INSERT INTO public.jobs VALUES (3, 'render-running', 'render', 'running', 'anna', '{"fps": 25.0, "loop": "pingpong"}', 75, 250, 40, 2, 1, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', false, NULL, '[]', NULL, '2026-11-29 08:25:32.470311+00', '2026-11-29 08:25:32.477458+00', NULL, 2);
INSERT INTO public.jobs VALUES (4, 'render-waiting', 'render', 'queued', 'anna', '{"fps": 25.0}', 0, 0, 0, 0, 0, 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', true, NULL, '[]', NULL, '2026-11-29 08:25:32.487279+00', NULL, NULL, 0);
INSERT INTO public.schema_version VALUES (2);
SELECT pg_catalog.setval('public.jobs_number_seq', 4, true);
SELECT pg_catalog.setval('public.schema_version_version_seq', 1, false);
ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_id_key UNIQUE (id);
ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (version);
CREATE INDEX jobs_by_avatar ON public.jobs USING btree (avatar_id, number);
CREATE INDEX jobs_by_state ON public.jobs USING btree (state, number);
CREATE UNIQUE INDEX one_job_makes_an_avatar ON public.jobs USING btree (avatar_id) WHERE (((kind)::text = 'avatar'::text) AND ((state)::text = ANY ((ARRAY['queued'::character varying, 'running'::character varying])::text[])));

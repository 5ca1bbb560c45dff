# The studio with its embedded model.  docker build --tag aiprod-studio .
# For an NVIDIA GPU: --build-arg DEVICE=cuda (PyPI's torch wheel brings CUDA along), run with --gpus all.
ARG PYTHON_VERSION=3.12
FROM python:${PYTHON_VERSION}-slim-bookworm

ARG DEVICE=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GRADIO_ANALYTICS_ENABLED=False \
    HF_HOME=/data/models \
    STUDIO_HOST=0.0.0.0 \
    STUDIO_PORT=7860 \
    STUDIO_DATA_DIR=/data

WORKDIR /studio
COPY requirements.txt constraints.txt ./
RUN if [ "$DEVICE" = "cpu" ]; then index="--extra-index-url=$TORCH_INDEX"; else index="--prefer-binary"; fi \
    && pip install --no-cache-dir "$index" --requirement requirements.txt --constraint constraints.txt

COPY app.py LICENSE ./
COPY assets/ assets/
COPY pipelines/ pipelines/
COPY studio/ studio/

RUN useradd --create-home --uid 1000 studio \
    && mkdir /data \
    && chown studio:studio /data
USER 1000
VOLUME /data
EXPOSE 7860

HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/livez', timeout=4)"]

# On SIGTERM the running clip may finish; what waits goes on at the next start.
STOPSIGNAL SIGTERM
CMD ["python", "app.py", "serve"]

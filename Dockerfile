# The page and the command line in one image.
#   docker build -t segdemo .
#   docker build -t segdemo:cuda --build-arg BASE=nvidia/cuda:12.8.1-base-ubuntu24.04 \
#       --build-arg INDEX=https://download.pytorch.org/whl/cu128 .
ARG BASE=python:3.12-slim
FROM ${BASE}

# where PyTorch comes from: the CPU build is a tenth of the size
ARG INDEX=https://download.pytorch.org/whl/cpu
RUN if ! command -v python3 >/dev/null || ! python3 -m venv --help >/dev/null 2>&1; then \
        apt-get update && apt-get install -y --no-install-recommends python3 python3-venv \
        && rm -rf /var/lib/apt/lists/*; fi
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 GRADIO_ANALYTICS_ENABLED=False

WORKDIR /app
# first what changes rarely
COPY requirements.txt ./
RUN pip install --no-cache-dir --extra-index-url ${INDEX} -r requirements.txt
COPY app.py ./
COPY segdemo ./segdemo

RUN useradd --create-home --uid 10001 segdemo && mkdir /projects && chown segdemo /projects
USER segdemo
VOLUME /projects
ENV SEGDEMO_SESSIONS=/projects HF_HOME=/home/segdemo/.cache/huggingface
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD \
    ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "app.py", "--host", "0.0.0.0", "--port", "7860"]

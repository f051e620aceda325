# The server, on a CPU, without root: docker build -t dnc-edge . && docker run -p 8484:8484 -e DNC_EDGE_SERVE_TOKEN=... dnc-edge
FROM python:3.11-slim
WORKDIR /src
COPY . .
# ONNX Runtime alone: nothing is compiled.
RUN pip install --no-cache-dir --constraint constraints.txt ".[cpu,serve,hub]" && rm -rf /src \
    && useradd --create-home --home-dir /var/lib/dnc-edge dnc
USER dnc
WORKDIR /var/lib/dnc-edge
# Students that are pulled, the log, and what days have spent.
RUN mkdir -p .local/share/dnc-edge
VOLUME /var/lib/dnc-edge/.local/share/dnc-edge
EXPOSE 8484
ENTRYPOINT ["dnc-edge"]
CMD ["serve", "--host", "0.0.0.0"]

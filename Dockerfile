# Stage one installs the pinned packages, all from wheels. pip and setuptools are removed: 25 MB that
# nothing imports.
FROM python:3.11-slim AS packages
# requirements-scale.lock brings DBOS for NEWSLETTER_ENGINE=dbos.
ARG LOCK=requirements.lock
WORKDIR /build
COPY ${LOCK} chosen.lock
RUN python -m venv /opt/newsletter \
 && /opt/newsletter/bin/pip install --no-cache-dir --require-hashes -r chosen.lock \
 && /opt/newsletter/bin/python -m pip uninstall -q -y setuptools pip

FROM python:3.11-slim
ENV PATH=/opt/newsletter/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --create-home --home-dir /app newsletter \
 && install -d -o newsletter /app/var \
 && printf '#!/bin/sh\nexec python -m newsletter "$@"\n' > /usr/local/bin/newsletter \
 && chmod 755 /usr/local/bin/newsletter
COPY --from=packages /opt/newsletter /opt/newsletter
WORKDIR /app
COPY newsletter newsletter
COPY templates templates
USER newsletter
VOLUME /app/var
EXPOSE 8000 8001
STOPSIGNAL SIGTERM
# Asks the running process directly, even if HTTP_PROXY is set.
HEALTHCHECK --interval=60s --timeout=10s --start-period=30s CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=5); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["newsletter"]
# `serve` keeps running and does the daily run by itself. Other commands: docker run IMAGE COMMAND.
CMD ["serve", "--host", "0.0.0.0"]

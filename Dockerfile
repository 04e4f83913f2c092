# syntax=docker/dockerfile:1
# Longshore with every optional driver. `docker build -t longshore .`; what it is for: docs/deployment.md.

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json tsconfig.browser.json ./
COPY src src
RUN npm run build

FROM node:24-slim AS packages
WORKDIR /app
COPY package.json package-lock.json deploy/with-drivers.js ./
RUN node with-drivers.js && npm install --omit=dev --no-audit --no-fund

FROM node:24-slim
# As process 1, node would neither pass signals on nor bury what commands of schedules leave behind.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends tini && rm -rf /var/lib/apt/lists/* && install -d -o node -g node /data
WORKDIR /app
COPY package.json openapi.json LICENSE ./
COPY bin bin
# The build reads from it what is no code, and what pages send to browsers.
COPY src src
COPY --from=packages /app/node_modules node_modules
COPY --from=build /app/dist dist
ENV NODE_ENV=production LONGSHORE_DATA_DIR=/data LONGSHORE_HOST=0.0.0.0
# node; by number, so that Kubernetes can see that it is not root.
USER 1000
VOLUME /data
EXPOSE 7700
HEALTHCHECK --interval=15s --timeout=10s --start-period=90s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.LONGSHORE_HEALTH_PORT ?? process.env.LONGSHORE_PORT ?? 7700}/livez`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "node", "/app/bin/longshore.js"]
CMD ["serve"]

# One image per phase:
#   docker build --build-arg PHASE=3-rate-limiting --tag gateway-3 .
#   docker run --rm --publish 127.0.0.1:3000:3000 gateway-3
# An image contains only what a phase needs to run: its folder, Node, and the dependencies of package.json.

FROM node:24.21.0-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# Without install scripts: no dependency needs one, and no dependency can run code during the build.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24.21.0-bookworm-slim AS runtime
ENV NODE_ENV=production
WORKDIR /app
COPY package.json ./
COPY --from=dependencies /app/node_modules ./node_modules

# The demo services: docker build --target services .
FROM runtime AS services
COPY shared/cli/services.ts shared/cli/
COPY shared/repository/demo-ports.ts shared/repository/
COPY shared/terminal/ shared/terminal/
COPY shared/upstreams/ shared/upstreams/
USER node
EXPOSE 4001 4002
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "Promise.any([4001, 4002].map((port) => fetch('http://127.0.0.1:' + port + '/_faults'))).then(() => process.exit(0), () => process.exit(1))"]
CMD ["node", "--import", "tsx", "shared/cli/services.ts", "--host", "0.0.0.0"]

FROM runtime AS gateway
ARG PHASE=7-redis-cluster
COPY phases/${PHASE}/ phases/${PHASE}/
# CMD cannot use build arguments, so a symbolic link gives the phase a fixed name. An empty PHASE fails the build here.
RUN ln -s "phases/${PHASE}" phase && test -f phase/server.ts
USER node
# The address inside the container. The published ports decide from where it can be reached.
ENV HOST=0.0.0.0
EXPOSE 3000
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.PORT || 3000) + '/health').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--import", "tsx", "phase/server.ts"]

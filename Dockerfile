# SPDX-License-Identifier: Apache-2.0
# docker build -t tailgate --build-arg COMMIT=$(git rev-parse --short=12 HEAD) .
# docker run --read-only -v tailgate-data:/var/lib/tailgate -p 4317:4317 -p 4318:4318 -p 8888:8888 tailgate

FROM debian:bookworm-slim AS build
ENV DEBIAN_FRONTEND=noninteractive
WORKDIR /src
COPY .ci/packages.txt .ci/packages.txt
RUN apt-get update -qq \
 && sed '/^#/d' .ci/packages.txt | xargs apt-get install -qq -y --no-install-recommends
COPY . .
ARG COMMIT=""
RUN cmake --preset release -DTAILGATE_COMMIT="$COMMIT" && ninja -C build/release tailgate \
 && strip --strip-debug build/release/tailgate

FROM debian:bookworm-slim
ENV DEBIAN_FRONTEND=noninteractive
COPY .ci/packages-runtime.txt /tmp/packages.txt
RUN apt-get update -qq \
 && sed '/^#/d' /tmp/packages.txt | xargs apt-get install -qq -y --no-install-recommends \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /tmp/packages.txt \
 && useradd --system --uid 10001 --no-create-home --home-dir /var/lib/tailgate --shell /usr/sbin/nologin tailgate \
 && install -d -o tailgate -g tailgate -m 750 /var/lib/tailgate
COPY --from=build /src/build/release/tailgate /usr/local/bin/tailgate
COPY deploy/container.yaml /etc/tailgate/tailgate.yaml

USER 10001:10001
WORKDIR /var/lib/tailgate
VOLUME /var/lib/tailgate
EXPOSE 4317 4318 8888 13133
# There is no curl in the image, and none is needed: bash opens sockets.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["bash", "-c", \
  "exec 3<>/dev/tcp/127.0.0.1/13133 && printf 'GET /health HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r _ code _ <&3 && [ \"$code\" = 200 ]"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["tailgate"]
CMD ["run", "--config", "/etc/tailgate/tailgate.yaml"]

# Snapback in a container: see docs/container.md. scripts/image builds this file without a Docker engine and tries the result.
#
#   docker build -t snapback .
#
# The runtime has glibc, libgcc, the authorities of the web and the time zones, and no shell; any image with these will do.
# Its glibc must not be older than the builder's.
ARG BUILDER=docker.io/library/rust:1.95-slim-trixie
ARG RUNTIME=gcr.io/distroless/cc-debian13:nonroot

FROM ${BUILDER} AS builder
WORKDIR /src
COPY . .
RUN cargo build --locked --release --bin snapback \
 && install -D -m 0755 target/release/snapback /out/usr/bin/snapback \
 && install -D -m 0644 -t /out/usr/share/doc/snapback LICENSE-MIT LICENSE-APACHE \
 && install -d -m 0755 /out/etc/snapback \
 && install -d -m 0700 /state

FROM ${RUNTIME}
LABEL org.opencontainers.image.title="snapback" \
      org.opencontainers.image.description="Hears alerts, finds the deployment that most likely caused them, rolls it back once, checks that it helped, and says why" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=builder /out/ /
# All that is written: the store with its key and its witness. Everything else may be read-only.
COPY --from=builder --chown=65532:65532 --chmod=0700 /state/ /var/lib/snapback/
VOLUME ["/var/lib/snapback"]
USER 65532:65532
EXPOSE 8443
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["/usr/bin/snapback", "healthcheck", "--config", "/etc/snapback/snapback.toml"]
ENTRYPOINT ["/usr/bin/snapback"]
CMD ["serve", "--config", "/etc/snapback/snapback.toml"]

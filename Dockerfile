# make image builds it for one architecture. For several at once:
#   docker buildx build --platform linux/amd64,linux/arm64 --push -t registry.example/couchestor:v1 .
FROM --platform=$BUILDPLATFORM golang:1.26.8 AS build
ARG TARGETOS
ARG TARGETARCH
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
# .git comes along: the binary carries its version from there.
COPY . .
# The same commit gives the same bytes: no cgo, no paths of this machine.
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags="-s -w" -o /couchestor ./server/couchestor

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /couchestor /couchestor
USER 65532:65532
ENTRYPOINT ["/couchestor"]
CMD ["serve"]

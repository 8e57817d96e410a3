module dl

go 1.24.0

require github.com/grafana/tempo v1.5.1-0.20250529124718-87c2dc380cec

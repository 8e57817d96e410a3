// SPDX-License-Identifier: Apache-2.0
#include "config/config_node.h"
#include "receive/otlp.h"

namespace tailgate {

OtlpConfig read_otlp_receiver(const ConfigNode& node) {
  OtlpConfig out;
  const ServerLimits limits = read_receiver_limits(node);
  const ConfigNode protocols = node.child("protocols");
  if (protocols.has("grpc")) {
    const ConfigNode grpc = protocols.child("grpc");
    out.grpc = read_grpc_endpoint(grpc, "localhost:4317", limits);
    grpc.finish();
  }
  if (protocols.has("http")) {
    const ConfigNode http = protocols.child("http");
    out.http = read_http_endpoint(http, "localhost:4318", limits);
    out.traces_path = http.text("traces_url_path", out.traces_path);
    if (!out.traces_path.starts_with('/')) out.traces_path.insert(0, "/");  // as the Collector does
    http.without_effect({"metrics_url_path", "logs_url_path", "profiles_url_path"});
    http.finish();
  }
  if (!out.grpc && !out.http) node.error("protocols", "grpc, http or both");
  protocols.finish();
  node.finish();
  return out;
}

std::unique_ptr<Receiver> make_otlp_receiver(const ConfigNode& node, std::string name) {
  return make_otlp_receiver(read_otlp_receiver(node), std::move(name));
}

}  // namespace tailgate

// SPDX-License-Identifier: Apache-2.0
#include "receive/zipkin.h"

#include "config/config_node.h"
#include "receive/servers.h"
#include "wire/zipkin/zipkin.h"

namespace tailgate {
namespace {

class ZipkinReceiver final : public Receiver {
 public:
  ZipkinReceiver(ZipkinConfig config, std::string name) : config_(std::move(config)), name_(std::move(name)) {}
  ~ZipkinReceiver() override { stop(Duration::zero()); }

  const std::string& name() const override { return name_; }
  bool marks_spans() const override { return true; }
  std::size_t tls_connections() const override { return config_.http.tls_connections(); }
  std::vector<std::string> wanted_endpoints() const override { return {config_.http.endpoint}; }

  Result<void> start(const ReceiverContext& context) override {
    const auto source = [&](std::string_view format) {
      return context.source ? context.source(name_, format) : SourceId{0};
    };
    const SourceId json = source("zipkin_json");
    const SourceId proto = source("zipkin_proto");
    const auto with = [options = config_.options](auto to_otlp) {
      return [=](const RequestHead&, ByteView body, ConversionOutput& out) -> Result<ByteView> {
        const Result<void> converted = to_otlp(body, options, out.sink);
        if (!converted) return tl::unexpected<Error>(converted.error());
        return out.sink.view();
      };
    };
    const auto from_json = with(zipkin_json_to_otlp);
    const auto from_proto = with(zipkin_proto_to_otlp);
    ReceiveProtocol protocol;
    protocol.nothing_here = "nothing here; spans go to /api/v2/spans";
    protocol.routes.push_back({.path = "/api/v2/spans",
                               .forms = {{"application/json", json, from_json},
                                         {"", json, from_json},
                                         {"application/x-protobuf", proto, from_proto},
                                         {"application/protobuf", proto, from_proto}},
                               .wrong_type = "expected content-type application/json or application/x-protobuf"});
    protocol.routes.push_back(
        {.path = "/api/v1/spans",
         .forms = {},
         .wrong_type = "Zipkin v1 is not taken; send v2 spans (JSON or protobuf) to /api/v2/spans"});
    return servers_.open(name_, config_.http, context, std::move(protocol));
  }

  std::vector<std::string> endpoints() const override { return servers_.endpoints(); }
  void drain() override { servers_.drain(); }
  void stop(Duration grace) override {
    drain();
    servers_.stop(grace);
  }
  ReceiverStats stats() const override { return servers_.stats(); }

 private:
  const ZipkinConfig config_;
  const std::string name_;
  ReceiverServers servers_;
};

}  // namespace

ZipkinConfig read_zipkin_receiver(const ConfigNode& node) {
  ZipkinConfig out;
  const ServerLimits limits = read_receiver_limits(node);
  out.options.parse_string_tags = node.boolean("parse_string_tags", false);
  out.options.old_attribute_names = node.boolean("old_attribute_names", true);
  // The keys are under the receiver itself, or under protocols.http as in the Collector since v0.128.
  const ConfigNode protocols = node.child("protocols");
  if (protocols.has("http")) {
    const ConfigNode http = protocols.child("http");
    out.http = read_http_endpoint(http, "localhost:9411", limits);
    http.finish();
  } else {
    out.http = read_http_endpoint(node, "localhost:9411", limits);
  }
  protocols.finish();
  node.finish();
  return out;
}

std::unique_ptr<Receiver> make_zipkin_receiver(ZipkinConfig config, std::string name) {
  return std::make_unique<ZipkinReceiver>(std::move(config), std::move(name));
}

std::unique_ptr<Receiver> make_zipkin_receiver(const ConfigNode& node, std::string name) {
  return make_zipkin_receiver(read_zipkin_receiver(node), std::move(name));
}

}  // namespace tailgate

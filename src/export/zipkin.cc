// zipkin: spans to Zipkin, or whatever takes its format, as JSON v2 by POST.
//     zipkin: {endpoint: http://zipkin:9411/api/v2/spans}
// The answer is 202 and nothing more: Zipkin says of no span that it has it.
#include <fmt/format.h>

#include <utility>

#include "export/export_config.h"
#include "export/http_exporter.h"
#include "export/registry.h"
#include "wire/zipkin_json_write.h"

namespace tailgate {
namespace {

class ZipkinExporter final : public HttpExporterBase {
 public:
  using HttpExporterBase::HttpExporterBase;

  void send(BatchPtr batch) override {
    std::string body = "[";
    for (const KeptTracePtr& t : batch->traces) append_zipkin_spans(body, t->otlp);
    body += ']';
    call("POST", "", "application/json", std::move(body), [this, id = batch->id](const Result<HttpReply>& reply) {
      if (!reply) return end(id, failure_of(reply.error()));
      end(id, reply->status / 100 == 2 ? SendResult::done() : failure_of(*reply, ""));
    });
  }
};

}  // namespace

ExporterParts read_zipkin_exporter(const ConfigNode& node, const ExporterDefaults& defaults) {
  ExporterParts parts;
  HttpExporterOptions options;
  const std::string endpoint = node.text("endpoint");
  Result<HttpUrl> url = parse_http_url(endpoint);
  if (url) {
    if (url->path == "/") url->path = "/api/v2/spans";
    options.urls = {*url};
  } else {
    node.error("endpoint", "want http://host:port/api/v2/spans or https://...");
  }
  read_http_exporter(node, options, defaults.user_agent);
  node.choice("format", "json", {"json"});
  if (!node.text("default_service_name").empty()) {
    node.child("default_service_name").notice("accepted, but without effect here, as in the Collector");
  }
  node.without_effect({"compression_params", "read_buffer_size", "write_buffer_size", "max_idle_conns",
                       "max_idle_conns_per_host", "max_conns_per_host", "idle_conn_timeout", "disable_keep_alives",
                       "http2_read_idle_timeout", "http2_ping_timeout", "cookies", "force_attempt_http2",
                       "middlewares"});
  parts.queue.bytes_max = defaults.queue_bytes_max;
  read_queue(node, parts.queue);
  if (options.urls.empty()) return parts;
  parts.endpoint = endpoint_of(options.urls[0]);
  parts.exporter = std::make_unique<ZipkinExporter>(std::move(options));
  return parts;
}

}  // namespace tailgate

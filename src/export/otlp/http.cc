// SPDX-License-Identifier: Apache-2.0
// otlphttp: OTLP over HTTP/1.1. One POST per batch to {endpoint}/v1/traces, its body the kept bytes one after the
// other.
//     otlphttp/tempo: {endpoint: http://tempo:4318, headers: {x-scope: prod}, timeout: 30s, compression: gzip}
// Which statuses are sent again: http/http_answer.h. A 2xx is a delivery when an ExportTraceServiceResponse comes with
// it, in protobuf or JSON, or nothing at all.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "export/export_config.h"
#include "export/http/http_exporter.h"
#include "export/otlp/response.h"
#include "export/registry.h"
#include "net/endpoint.h"
#include "wire/otlp/json_write.h"

namespace tailgate {
namespace {

constexpr std::string_view kProtobuf = "application/x-protobuf";
constexpr std::string_view kJson = "application/json";

// Backends say many things about a short answer's type, so its bytes count where the type is neither JSON nor HTML.
bool is_json(const HttpReply& reply, const std::string& type) {
  return type == kJson || (type != kProtobuf && reply.body.starts_with('{'));
}

SendResult taken(const HttpReply& reply) {
  constexpr std::string_view kExpected = "an ExportTraceServiceResponse";
  if (is_web_page(reply)) return not_believed(reply, kExpected);
  if (reply.body.empty()) return SendResult::done();
  const std::string type = media_type_of(reply);
  if (!reply.content_encoding.empty() && (type == kJson || type == kProtobuf)) return SendResult::done();
  Result<PartialSuccess> partial =
      is_json(reply, type) ? read_partial_success_json(reply.body) : read_partial_success(reply.body);
  if (!partial) return not_believed(reply, kExpected);
  SendResult result = SendResult::done(partial->rejected_spans);
  result.detail = std::move(partial->message);
  return result;
}

StatusDetails details_of(const HttpReply& reply) {
  const std::string type = media_type_of(reply);
  if (!reply.content_encoding.empty()) return {};
  StatusDetails details = is_json(reply, type) ? read_status_details_json(reply.body)
                          : type == kProtobuf  ? read_status_details(reply.body)
                                               : StatusDetails{};
  if (details.message.empty() && type != kProtobuf) details.message = text_of(reply);
  return details;
}

class OtlpHttpExporter final : public HttpExporter {
 public:
  OtlpHttpExporter(HttpExporterOptions options, bool json) : HttpExporter(std::move(options)), json_(json) {}

  void send(BatchPtr batch) override {
    std::string body;
    CutItems cut;
    if (json_) {
      OtlpJsonList list(body);
      for (const KeptTracePtr& t : batch->traces) list.add(t->otlp, &cut);  // each with the limits of its own
      list.close();
    } else {
      body.reserve(batch->bytes);
      for (const KeptTracePtr& t : batch->traces) body += t->otlp;
    }
    call("POST", "", std::string(json_ ? kJson : kProtobuf), std::move(body),
         [this, id = batch->id, cut](const Result<HttpReply>& reply) {
           SendResult result = result_of(reply);
           if (result.kind == SendResult::Kind::kDone) count_cut(cut);
           end(id, std::move(result));
         });
  }

 private:
  SendResult result_of(const Result<HttpReply>& reply) {
    if (!reply) return failure_of(reply.error());
    if (reply->status / 100 == 2) return taken(*reply);
    const StatusDetails details = details_of(*reply);
    SendResult result = failure(*reply, details.message);
    if (details.retry_delay) result.retry_after = std::max(result.retry_after, *details.retry_delay);
    return result;
  }

  const bool json_;
};

void read_url(const ConfigNode& node, HttpExporterOptions& options) {
  const std::string own = node.text("traces_endpoint");
  std::string base = node.text("endpoint");
  while (base.ends_with('/')) base.pop_back();
  const std::string_view key = own.empty() ? "endpoint" : "traces_endpoint";
  if (own.empty() && base.empty()) {
    node.error("endpoint", "expected http://host:port, https://host:port or unix:///path");
    return;
  }
  std::string wanted = own;
  if (own.empty()) wanted = base.starts_with(kUnixScheme) ? base : base + "/v1/traces";
  const Result<HttpUrl> url = parse_http_url(wanted);
  if (url) {
    options.urls = {*url};
    if (!url->socket_path.empty()) options.urls[0].path = "/v1/traces";
  } else {
    node.error(key, fmt::format("expected http://host:port, https://host:port or unix:///path ({})", url.error().text));
  }
}

}  // namespace

ExporterParts read_otlp_http_exporter(const ConfigNode& node, const ExporterDefaults& defaults) {
  ExporterParts parts;
  HttpExporterOptions options;
  read_url(node, options);
  read_http_exporter(node, options, defaults.user_agent, true);
  options.authorization = read_bearer_token(node, options.headers);
  const bool json = node.choice("encoding", "proto", {"proto", "json"}) == "json";
  node.without_effect({"metrics_endpoint", "logs_endpoint", "profiles_endpoint", "compression_params",
                       "read_buffer_size", "write_buffer_size", "max_idle_conns", "max_idle_conns_per_host",
                       "max_conns_per_host", "idle_conn_timeout", "disable_keep_alives", "http2_read_idle_timeout",
                       "http2_ping_timeout", "cookies", "force_attempt_http2", "middlewares"});
  parts.queue.bytes_max = defaults.queue_bytes_max;
  read_queue(node, parts.queue);
  if (options.urls.empty()) return parts;
  parts.endpoint = endpoint_of(options.urls[0]);
  parts.exporter = std::make_unique<OtlpHttpExporter>(std::move(options), json);
  return parts;
}

}  // namespace tailgate

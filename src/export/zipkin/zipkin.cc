// SPDX-License-Identifier: Apache-2.0
// zipkin: spans to Zipkin, or whatever takes its format, as JSON v2 by POST.
//     zipkin: {endpoint: http://zipkin:9411/api/v2/spans}
// The answer is 202 and nothing else: Zipkin does not say which spans it has stored. A web page is not that answer.
#include <fmt/format.h>

#include <utility>

#include "export/export_config.h"
#include "export/http/http_exporter.h"
#include "export/registry.h"
#include "wire/zipkin/json_write.h"

namespace tailgate {
namespace {

// Of a request, before compression. Every span's JSON repeats its resource's attributes, so it can be many times the
// OTLP.
constexpr std::size_t kZipkinBodyMax = 4 << 20;

class ZipkinExporter final : public HttpExporter {
 public:
  using HttpExporter::HttpExporter;

  void send(BatchPtr batch) override { post(std::move(batch), {}); }

 private:
  // How far a batch has been posted.
  struct Place {
    std::size_t trace = 0, span = 0;  // the next one, by its number in the trace
    std::vector<RejectedTrace> unreadable = {};
  };

  // Posts the spans from `at` on, as many as a request may hold, and the rest when the answer has come.
  void post(BatchPtr batch, Place at) {
    std::string body = "[";
    bool full = false;
    CutItems cut;
    while (at.trace < batch->traces.size() && !full) {
      const KeptTrace& trace = *batch->traces[at.trace];
      SpanChoice choice;
      choice.wanted = [&](std::size_t number) { return !full && number == at.span; };
      CutItems with = cut;  // `cut` and what was left out of the current span
      const auto take = [&](std::string_view json) {
        full = body.size() > 1 && body.size() + json.size() > kZipkinBodyMax;
        if (full) return;
        body.reserve(body.size() + json.size() + 2);
        if (body.size() > 1) body += ',';
        body += json;
        ++at.span;
        cut = with;
      };
      each_zipkin_span(trace.otlp, take, &with, &choice);
      if (full) break;
      if (choice.spans < trace.spans)
        at.unreadable.push_back({at.trace, trace.spans - choice.spans, "not to be read as OTLP"});
      ++at.trace;
      at.span = 0;
    }
    body += ']';
    call("POST", "", "application/json", std::move(body),
         [this, batch = std::move(batch), at = std::move(at), full, cut](const Result<HttpReply>& reply) {
           const std::uint64_t id = batch->id;
           if (!reply) return end(id, failure_of(reply.error()));
           if (reply->status / 100 != 2) return end(id, failure(*reply, text_of(*reply)));
           if (is_web_page(*reply)) return end(id, not_believed(*reply, "Zipkin's empty answer"));
           count_cut(cut);
           if (full) return post(batch, at);
           end(id, SendResult::done_but_for(at.unreadable));
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
    node.error("endpoint", "expected http://host:port/api/v2/spans or https://...");
  }
  read_http_exporter(node, options, defaults.user_agent);
  node.choice("format", "json", {"json"});
  if (!node.text("default_service_name").empty()) {
    node.child("default_service_name").without_effect(", as in the Collector");
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

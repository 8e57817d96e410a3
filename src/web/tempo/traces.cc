// SPDX-License-Identifier: Apache-2.0
#include "web/tempo/traces.h"

#include <utility>

#include "codec/json_text.h"
#include "codec/protobuf.h"
#include "web/json_page.h"
#include "web/tempo/door.h"
#include "wire/otlp/json_write.h"
#include "wire/tempo/proto.h"

namespace tailgate {
namespace {

constexpr std::string_view kPartial("\x18\x01", 2);  // field 3, status, is 1

// TraceByIDResponse: field 1 is the trace, and Grafana wants it there also when it is empty; 3 status, 4 message.
std::string proto_body(const StoredTrace& trace, bool v2) {
  std::string body;
  append_tempo_proto(body, trace.otlp);
  if (!v2) return body;
  std::string whole;
  pb::append_len(whole, 1, body);
  if (trace.parts_lost != 0) {
    whole += kPartial;
    pb::append_len(whole, 4, parts_lost_text(trace));
  }
  return whole;
}

std::string json_body(const StoredTrace& trace, bool v2) {
  std::string body = v2 ? R"({"trace":)" : "";
  append_tempo_json(body, trace.otlp, v2 ? "resourceSpans" : "batches");
  if (!v2) return body;
  body += R"(,"metrics":{})";
  if (trace.parts_lost != 0) {
    body += R"(,"status":"PARTIAL","message":)";
    append_json_string(body, parts_lost_text(trace));
  }
  return body += '}';
}

}  // namespace

bool wants_protobuf(std::string_view accept) { return accept.find("application/protobuf") != std::string_view::npos; }

void answer_tempo_trace(StoreReader& store, const TempoTraceQuestion& question, TimePoint until, LaterAnswer& answer) {
  Result<StoredTrace> found = store.trace(question.id);
  if (!found) return answer.answer(tempo_error(found.error()));
  if (found->otlp.empty() && !question.v2) return answer.answer(plain_response(404));
  const std::string body = question.proto ? proto_body(*found, question.v2) : json_body(*found, question.v2);
  *found = {};
  Response head = json_head();
  if (question.proto) head.headers[0].second = "application/protobuf";
  answer.begin(std::move(head));
  if (answer.write(body, until)) answer.end();
}

}  // namespace tailgate

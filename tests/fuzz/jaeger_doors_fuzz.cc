// SPDX-License-Identifier: Apache-2.0
// What strangers ask the doors for Jaeger: messages of jaeger.storage.v2 and query strings. Nothing may crash, hang or
// grow, what is refused has a reason, and libprotobuf reads the same (where it takes the bytes at all). The first byte
// says which request it is.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "jaeger_storage_twin.pb.h"
#include "web/jaeger/http_params.h"
#include "web/jaeger/proto.h"
#include "wire/jaeger/trace_json.h"
#include "wire/trace/trace_view.h"

using namespace tailgate;

namespace {

void expect(bool good) {
  if (!good) std::abort();
}

// A refusal is of what was asked, and in words.
template <class T>
bool read(const Result<T>& result) {
  expect(result || (result.error().kind == ErrorKind::kBadInput && !result.error().text.empty()));
  return result.has_value();
}

void check_question(const Result<TraceQuestion>& question) {
  if (!read(question)) return;
  expect(question->limit >= 1);
  expect(question->span.duration_min_ns <= question->span.duration_max_ns);
  expect(question->from_ns == question->span.start_min_ns && question->to_ns == question->span.start_max_ns);
}

void check_find(ByteView input) {
  const Result<TraceQuestion> question = read_jaeger_question(input);
  check_question(question);
  twin::storage::FindTracesRequest twin;
  if (!question || !twin.ParseFromArray(input.data(), static_cast<int>(input.size()))) return;
  expect(question->span.service == twin.query().service_name());
  expect(question->span.operation == twin.query().operation_name());
  expect(question->span.attributes.size() == static_cast<std::size_t>(twin.query().attributes_size()));
  expect(!twin.query().has_filter());
}

void check_ids(ByteView input) {
  const Result<std::vector<TraceId>> ids = read_jaeger_ids(input);
  twin::storage::GetTracesRequest twin;
  if (!read(ids) || !twin.ParseFromArray(input.data(), static_cast<int>(input.size()))) return;
  expect(ids->size() == static_cast<std::size_t>(twin.query_size()) && ids->size() <= kJaegerIdsMax);
  for (std::size_t i = 0; i < ids->size(); ++i) expect((*ids)[i].view() == twin.query(static_cast<int>(i)).trace_id());
}

// A stored trace of any bytes: each message is small enough, and none is lost on the way out.
void check_trace(ByteView otlp) {
  constexpr std::size_t kMax = 1'000;
  each_jaeger_message(otlp, kMax, [](ByteView message) {
    expect(!message.empty());
    return true;
  });
  std::string json;
  append_jaeger_trace(json, otlp);
  expect(json.starts_with(R"({"traceID":")") && json.ends_with(R"("warnings":null})"));
  if (const Result<TraceView> view = TraceView::read(otlp)) {
    twin::storage::FindTraceSummariesResponse summary;
    expect(summary.ParseFromString(jaeger_summary({}, *view)) && summary.summaries_size() == 1);
    expect(static_cast<std::size_t>(summary.summaries(0).span_count()) == view->spans().size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  constexpr std::uint64_t kNow = 1'700'000'000'000'000'000;
  switch (data[0]) {
    case 'f':
      check_find(input);
      break;
    case 'g':
      check_ids(input);
      break;
    case 'o':
      read(read_jaeger_operations(input));
      break;
    case 'd':
      read(read_jaeger_times(input));
      break;
    case 't':
      check_trace(input);
      break;
    case '1':
      if (const Result<JaegerSearch> search = read_jaeger_v1_search(input, kNow); read(search) && search->ids.empty())
        check_question(search->question);
      if (const Result<JaegerTimes> times = read_jaeger_v1_times(input, kNow); read(times))
        expect(times->from_ns <= times->to_ns);
      break;
    case '3':
      check_question(read_jaeger_v3_search(input));
      read(read_trace_id(input));
      break;
    default:
      break;
  }
  return 0;
}

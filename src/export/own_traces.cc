// SPDX-License-Identifier: Apache-2.0
#include "export/own_traces.h"

#include <algorithm>
#include <cstring>

#include "base/hash.h"
#include "wire/otlp/builder.h"

namespace tailgate {
namespace {

std::uint64_t next_id(std::uint64_t& state) { return next_random(state) | 1; }  // an id is never zero

std::uint64_t nanoseconds(Duration d) {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::nanoseconds>(d).count()));
}

}  // namespace

OwnTraces::OwnTraces(OwnTracesOptions options, ByteBudget& budget, Push push)
    : options_(std::move(options)),
      budget_(budget),
      push_(std::move(push)),
      tokens_(options_.spans_per_minute),
      next_id_(options_.seed != 0 ? options_.seed : random_seed()) {}

bool OwnTraces::pass(TimePoint now) {
  const double most = options_.spans_per_minute;
  if (filled_ != TimePoint{}) {
    tokens_ = std::min(most, tokens_ + most * std::chrono::duration<double>(now - filled_).count() / 60);
  }
  filled_ = now;
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

void OwnTraces::note(const OwnOperation& operation, TimePoint now, std::uint64_t wall_ns) {
  if (!wants(operation.ended - operation.began, !operation.failure.empty())) return;
  const std::uint64_t end_ns = wall_ns - std::min(wall_ns, nanoseconds(now - operation.ended));
  const std::uint64_t start_ns = end_ns - std::min(end_ns, nanoseconds(operation.ended - operation.began));
  KeptTracePtr made;
  {
    const MutexLock lock(mutex_);
    if (pass(now)) made = span_of(operation, start_ns, end_ns);
    ++(made != nullptr ? stats_.queued : stats_.dropped);
  }
  if (made != nullptr) push_(made);
}

KeptTracePtr OwnTraces::span_of(const OwnOperation& operation, std::uint64_t start_ns, std::uint64_t end_ns) {
  auto made = std::make_shared<KeptTrace>();
  const std::uint64_t random[] = {next_id(next_id_), next_id(next_id_), next_id(next_id_)};
  std::memcpy(made->id.bytes.data(), random, 16);
  made->start_ns = start_ns;
  made->end_ns = end_ns;
  made->errors = operation.failure.empty() ? 0 : 1;
  made->root_service = "tailgate";
  made->root_name = operation.name;
  made->has_root = true;
  made->own = true;
  made->verdict.decision = Decision::kSampled;
  made->verdict.complete = true;
  made->policy = kOwnPolicy;
  made->exporters = options_.exporters;
  made->spans = 1;

  ByteSink sink;
  OtlpBuilder build(sink);
  const OtlpBuilder::Open resource_spans = build.open(otlp::request::kResourceSpans, 2);
  const OtlpBuilder::Open resource = build.open(otlp::resource_spans::kResource, 1);
  build.attribute(otlp::resource::kAttributes, "service.name", "tailgate");
  build.attribute(otlp::resource::kAttributes, "service.version", options_.version);
  build.close(resource);
  const OtlpBuilder::Open scope_spans = build.open(otlp::resource_spans::kScopeSpans, 2);
  const OtlpBuilder::Open scope = build.open(otlp::scope_spans::kScope, 1);
  build.text(otlp::scope::kName, "tailgate");
  build.text(otlp::scope::kVersion, options_.version);
  build.close(scope);
  const OtlpBuilder::Open span = build.open(otlp::scope_spans::kSpans, 2);
  OtlpBuilder::SpanHead head;
  head.trace_id = {made->id.bytes.data(), 16};
  head.span_id = {reinterpret_cast<const char*>(&random[2]), 8};
  head.name = operation.name;
  head.kind = 1;  // internal
  head.start_ns = start_ns;
  head.end_ns = end_ns;
  build.span_head(head);
  for (const auto& [key, value] : operation.attributes) {
    if (const auto* text = std::get_if<std::string>(&value)) {
      build.attribute(otlp::span::kAttributes, key, ByteView(*text));
    } else {
      build.attribute(otlp::span::kAttributes, key,
                      AttributeValue{AttributeValue::Kind::kInt, std::get<std::uint64_t>(value), {}});
    }
  }
  if (!operation.failure.empty()) build.status(StatusCode::kError, operation.failure);
  build.close(span);
  build.close(scope_spans);
  build.close(resource_spans);
  made->otlp.assign(sink.view());
  made->charge = Charge(budget_, Holder::kQueues);
  // Nothing is dropped to make room for it.
  if (sink.failed() || !made->charge.try_grow(made->bytes())) return nullptr;
  return made;
}

OwnTraces::Stats OwnTraces::stats() const {
  const MutexLock lock(mutex_);
  return stats_;
}

}  // namespace tailgate

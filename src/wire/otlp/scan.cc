// SPDX-License-Identifier: Apache-2.0
// A ResourceSpans or ScopeSpans is walked twice: first from field to field, to find the bytes that its spans share
// (schema_url comes after the spans), then span by span. The first walk touches one cache line of each span, which the
// scan needs anyway.
#include "wire/otlp/scan.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "codec/protobuf.h"
#include "wire/otlp/prefix.h"
#include "wire/otlp/schema.h"

namespace tailgate {
namespace {

constexpr std::uint32_t kResourceSpansTag = pb::tag_of(otlp::request::kResourceSpans, pb::kLen);

// One walk over a request. It is an object because every step needs the place for error messages and the slice.
class Scan {
 public:
  Scan(ByteView request, const ScanPlan& plan, SpanBatch& batch, const std::function<bool(SpanBatch&)>& on_slice,
       SpanWatcher* watcher)
      : request_(request), plan_(plan), batch_(batch), on_slice_(on_slice), watcher_(watcher) {
    attributes_.resize(plan.attribute_keys().size() + 1);
    resource_attributes_.resize(plan.attribute_keys().size() + 1);
    resource_words_.resize(plan.bit_words());
    context_.resource_attributes = resource_attributes_.data();
    context_.now_unix_ns = batch.now_unix_ns;
  }

  ScanResult run(bool only_check) {
    only_check_ = only_check;
    walk();
    return std::move(result_);
  }

 private:
  bool malformed(const char* what) {
    if (result_.ok) {
      result_.ok = false;
      result_.error = fmt::format("resource_spans[{}].scope_spans[{}].spans[{}]: {}", resource_, scope_, span_, what);
    }
    return false;
  }

  bool walk() {
    const char* p = request_.data();
    const char* const end = p + request_.size();
    for (resource_ = 0; p < end;) {
      std::uint32_t tag = 0;
      if (!pb::read_tag(p, end, tag)) return malformed_request("bad field tag", p);
      if (tag != kResourceSpansTag) {
        if (!pb::skip_value(p, end, tag)) return malformed_request("bad field", p);
        continue;
      }
      ByteView resource_spans;
      if (!pb::read_len(p, end, resource_spans)) return malformed_request("resource_spans passes the end", p);
      if (!walk_resource(resource_spans)) return false;
      ++resource_;
    }
    return true;
  }

  bool malformed_request(const char* what, const char* p) {
    if (result_.ok) {
      result_.ok = false;
      result_.error =
          fmt::format("not an OTLP trace request: {} near byte {} of {}", what, p - request_.data(), request_.size());
    }
    return false;
  }

  bool walk_resource(ByteView resource_spans) {
    scope_ = span_ = 0;
    if (!resource_prefix_.find(resource_spans)) return malformed("bad field in ResourceSpans");
    if (!only_check_) {
      std::fill(resource_words_.begin(), resource_words_.end(), 0);
      context_.resource = resource_spans;
      ask_resource(plan_, resource_spans, resource_attributes_.data(), resource_words_.data());
      if (watcher_ != nullptr) watcher_->on_resource(resource_attributes_.data());
    }
    const char* p = resource_spans.data();
    const char* const end = p + resource_spans.size();
    while (p < end) {
      std::uint32_t tag = 0;
      ByteView scope_spans;
      if (!pb::read_tag(p, end, tag)) return malformed("bad tag in ResourceSpans");
      if (tag != Prefix::kElementTag) {
        if (!pb::skip_value(p, end, tag)) return malformed("bad field in ResourceSpans");
        continue;
      }
      if (!pb::read_len(p, end, scope_spans)) return malformed("scope_spans passes the end");
      if (!walk_scope(scope_spans)) return false;
      ++scope_;
    }
    return true;
  }

  bool walk_scope(ByteView scope_spans) {
    span_ = 0;
    if (!scope_prefix_.find(scope_spans)) return malformed("bad field in ScopeSpans");
    group_ = kNoIndex;
    context_.scope = scope_spans;
    const char* p = scope_spans.data();
    const char* const end = p + scope_spans.size();
    while (p < end) {
      std::uint32_t tag = 0;
      pb::read_tag(p, end, tag);  // cannot fail: Prefix::find() has read these bytes
      if (tag != Prefix::kElementTag) {
        pb::skip_value(p, end, tag);
        continue;
      }
      ByteView span;
      pb::read_len(p, end, span);
      SpanFields fields;
      if (!scan_span(span, plan_, fields, attributes_.data())) return malformed("malformed span");
      fields.context = &context_;
      ++result_.spans;
      if (!take_span(span, fields)) return false;
      ++span_;
    }
    return true;
  }

  bool bad_id(const char* which, ByteView id, const char* want, bool of_zero = false) {
    ++result_.bad_ids;
    if (result_.first_bad_id.empty()) {
      result_.first_bad_id = fmt::format(
          "resource_spans[{}].scope_spans[{}].spans[{}].{}: expected {}, got {}", resource_, scope_, span_, which, want,
          of_zero ? "only zeros" : fmt::format("{} byte{}", id.size(), id.size() == 1 ? "" : "s"));
    }
    return true;
  }

  bool take_span(ByteView span, const SpanFields& f) {
    if (f.trace_id.size() != 16) return bad_id("trace_id", f.trace_id, "16 bytes");
    if ((word(f.trace_id) | word(f.trace_id.substr(8))) == 0) {
      return bad_id("trace_id", f.trace_id, "16 bytes that are not all zero", true);
    }
    if (f.span_id.size() != 8) return bad_id("span_id", f.span_id, "8 bytes");
    if (word(f.span_id) == 0) return bad_id("span_id", f.span_id, "8 bytes that are not all zero", true);
    if (!f.parent_span_id.empty() && f.parent_span_id.size() != 8) {
      return bad_id("parent_span_id", f.parent_span_id, "0 or 8 bytes");
    }
    if (only_check_) return true;
    if (batch_.spans.size() == kSpansPerSlice && !hand_on()) return false;

    if (group_ == kNoIndex) {
      group_ = static_cast<std::uint32_t>(batch_.groups.size());
      const ByteView resource = resource_prefix_.bytes(batch_.scratch);
      const ByteView scope = scope_prefix_.bytes(batch_.scratch);
      batch_.groups.push_back({resource, scope, hash_bytes(scope, hash_bytes(resource, batch_.hash_seed)),
                               static_cast<std::uint32_t>(resource_)});
    }
    const bool has_parent = f.has_parent();
    const std::uint32_t index = static_cast<std::uint32_t>(batch_.spans.size());
    batch_.spans.push_back({span.data(), static_cast<std::uint32_t>(span.size()), group_, kNoIndex,
                            link_hash(f.span_id), has_parent ? link_hash(f.parent_span_id) : 0});
    const std::uint32_t t = batch_.trace_index(TraceId::from(f.trace_id.data()));
    BatchTrace& trace = batch_.traces[t];
    if (trace.first == kNoIndex) {
      trace.first = index;
    } else {
      batch_.spans[trace.last].next = index;
    }
    trace.last = index;
    TraceFacts& facts = trace.facts;
    facts.take_times(f.start_ns, f.end_ns);
    facts.bytes += span.size();
    facts.spans += 1;
    facts.errors += f.status_code == static_cast<std::int32_t>(StatusCode::kError);
    if (!has_parent && !facts.root_seen) {
      facts.root_seen = true;
      trace.root_name = f.name;
      trace.root_group = group_;
    }
    std::uint64_t* const words = batch_.words_of(t);
    for (std::size_t i = 0; i < resource_words_.size(); ++i) words[i] |= resource_words_[i];
    ask_span(plan_, f, words);
    if (watcher_ != nullptr) watcher_->on_span(f, trace.hash);
    return true;
  }

  static std::uint64_t word(ByteView bytes) { return load_le<std::uint64_t>(bytes.data()); }

  // Odd: 0 says "no parent", and the list of an open trace has even keys for other things. So two ids of a trace of n
  // spans collide with a chance of n*n/2^32, and then a missing parent may pass for a present one; nothing else rests
  // on it.
  std::uint32_t link_hash(ByteView id) const {
    std::uint64_t h = word(id) ^ batch_.hash_seed;
    h *= 0x9e3779b97f4a7c15ULL;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93ULL;
    return static_cast<std::uint32_t>(h >> 32) | 1;
  }

  bool hand_on() {
    if (!checked_) {
      Scan check(request_, plan_, batch_, on_slice_, nullptr);
      ScanResult whole = check.run(true);
      if (!whole.ok) {
        result_ = std::move(whole);
        return false;
      }
      checked_ = true;
      spans_in_all_ = whole.spans;
      bad_ids_in_all_ = whole.bad_ids;
    }
    fill_request_bytes(plan_, batch_);
    if (!on_slice_(batch_)) {  // stopped: the counts are those of the whole request all the same
      result_.spans = spans_in_all_;
      result_.bad_ids = bad_ids_in_all_;
      return false;
    }
    // Copies of prefixes live in scratch, which clear() empties: they are made again for the spans to come.
    batch_.clear();
    resource_prefix_.find_again();
    scope_prefix_.find_again();
    group_ = kNoIndex;
    return true;
  }

  const ByteView request_;
  const ScanPlan& plan_;
  SpanBatch& batch_;
  const std::function<bool(SpanBatch&)>& on_slice_;
  SpanWatcher* const watcher_;  // null: none
  ScanResult result_;
  bool only_check_ = false;
  bool checked_ = false;
  std::uint64_t spans_in_all_ = 0, bad_ids_in_all_ = 0;  // once checked
  std::size_t resource_ = 0, scope_ = 0, span_ = 0;      // where we are, for messages
  std::uint32_t group_ = kNoIndex;
  Prefix resource_prefix_, scope_prefix_;
  std::vector<ByteView> attributes_, resource_attributes_;
  std::vector<std::uint64_t> resource_words_;
  SpanContext context_;
};

}  // namespace

ScanResult scan_request(ByteView request, const ScanPlan& plan, SpanBatch& batch,
                        const std::function<bool(SpanBatch&)>& on_slice, SpanWatcher* watcher) {
  batch.words_per_trace = plan.words();
  batch.policy_epoch = plan.epoch;
  ScanResult result = Scan(request, plan, batch, on_slice, watcher).run(false);
  fill_request_bytes(plan, batch);
  return result;
}

}  // namespace tailgate

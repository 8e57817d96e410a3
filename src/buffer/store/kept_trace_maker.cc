// SPDX-License-Identifier: Apache-2.0
#include "buffer/store/kept_trace_maker.h"

#include <memory>

#include "model/threshold.h"
#include "wire/otlp/scan.h"

namespace tailgate {
namespace {

constexpr std::size_t kPartBytes = 2 << 20;  // of spans in one KeptTrace

const ScanPlan& no_plan() {
  static const ScanPlan plan;
  return plan;
}

// Asks the predicates that kept a trace once more, to find the first span that each is true of. now() is the moment of
// closing here, because when each span came is not remembered.
class DecidingSpans {
 public:
  DecidingSpans(ClosedTrace* closed, std::uint64_t now_unix_ns) : closed_(closed) {
    if (closed == nullptr || closed->deciding_count == 0) return;
    left_ = closed->deciding_count;
    plan_ = &closed->judged_by->plan();
    attributes_.resize(plan_->attribute_keys().size() + 1);
    resource_attributes_.resize(attributes_.size());
    context_.now_unix_ns = now_unix_ns;
    context_.again = true;
    context_.resource_attributes = resource_attributes_.data();
  }

  // Some are not found yet: spans must be scanned with plan() and attributes(), and asked.
  bool wanted() const { return left_ != 0; }
  const ScanPlan& plan() const { return *plan_; }
  ByteView* attributes() { return attributes_.data(); }

  void ask(const FrameSpan& span, SpanFields& fields) {
    if (span.resource.data() != context_.resource.data() || words_.empty()) {
      words_.assign(plan_->words(), 0);
      ask_resource(*plan_, span.resource, resource_attributes_.data(), words_.data());
    }
    context_.resource = span.resource;
    context_.scope = span.scope;
    fields.context = &context_;
    for (std::size_t i = 0; i < closed_->deciding_count; ++i) {
      ClosedTrace::Deciding& by = closed_->deciding[i];
      if (by.span_id != 0) continue;
      const bool by_resource = (words_[by.bit >> 6] >> (by.bit & 63) & 1) != 0;
      if (!by_resource && !plan_->predicates[by.bit]->on_span(fields)) continue;
      by.span_id = load_le<std::uint64_t>(fields.span_id.data());
      --left_;
    }
  }

 private:
  ClosedTrace* const closed_;
  const ScanPlan* plan_ = nullptr;
  std::size_t left_ = 0;
  SpanContext context_;
  std::vector<ByteView> attributes_, resource_attributes_;
  std::vector<std::uint64_t> words_;
};

// A backend refuses a whole batch for one span with broken nested bytes, and the spans of other traces with it.
class SpanCheck {
 public:
  bool is_well_formed(const FrameSpan& span) {
    if (!same(span.resource, good_resource_)) {
      if (!resource_prefix_is_well_formed(span.resource)) return false;
      good_resource_ = span.resource;
    }
    if (!same(span.scope, good_scope_)) {
      if (!scope_prefix_is_well_formed(span.scope)) return false;
      good_scope_ = span.scope;
    }
    return span_is_well_formed(span.span);
  }

 private:
  static bool same(ByteView a, ByteView b) { return a.data() == b.data() && a.size() == b.size(); }

  ByteView good_resource_, good_scope_;  // checked last
};

}  // namespace

// What the daemon says about a kept trace: its root (or its first span) and the name of that span's service.
struct KeptTraceMaker::Headline {
  ByteView resource;
  ByteView name;
  const char* span = nullptr;  // its bytes
  bool root = false;
};

SettledSpans KeptTraceMaker::make(const Input& in, Scratch& scratch) {
  SettledSpans result;
  const Headline headline = check(in, scratch, result.malformed);
  if (scratch.spans.empty()) return result;
  const TraceSummary summary = summarize(in, headline);
  if (summary.exporters == 0) {
    result.shed = Shed::kNoExporter;
    return result;
  }
  stamp(summary, headline.span, in.now, scratch);
  result.shed = frame(summary, scratch);
  return result;
}

// A span is scanned only if somebody still needs a field of it.
KeptTraceMaker::Headline KeptTraceMaker::check(const Input& in, Scratch& scratch, std::uint32_t& malformed) const {
  Headline headline;
  SpanCheck checked;
  DecidingSpans deciding(in.closed, in.now_unix_ns);
  const bool wants_states = tables_.thresholds.value_of(in.verdict.threshold) != kCertain;
  scratch.trace_states.clear();
  const std::size_t before = scratch.spans.size();
  std::erase_if(scratch.spans, [&](const FrameSpan& span) {
    SpanFields fields;
    ByteView no_attributes;
    if (deciding.wanted()) {
      if (scan_span(span.span, deciding.plan(), fields, deciding.attributes())) deciding.ask(span, fields);
    } else if (!headline.root || wants_states) {
      scan_span(span.span, no_plan(), fields, &no_attributes);
    }
    if (!checked.is_well_formed(span)) return true;
    if (!headline.root && (headline.span == nullptr || !fields.has_parent())) {
      headline = {span.resource, fields.name, span.span.data(), !fields.has_parent()};
    }
    if (wants_states) scratch.trace_states.push_back(fields.trace_state);
    return false;
  });
  malformed = static_cast<std::uint32_t>(before - scratch.spans.size());
  return headline;
}

TraceSummary KeptTraceMaker::summarize(const Input& in, const Headline& headline) const {
  TraceSummary summary;
  summary.id = in.id;
  summary.verdict = in.verdict;
  summary.policy = tables_.names.name_of(in.verdict.policy);
  summary.exporters = tables_.routes.exporters_of(in.verdict.route);
  summary.start_ns = in.facts.first_start_ns();
  summary.end_ns = in.facts.end_max_ns;
  summary.errors = in.facts.errors;
  summary.has_root = in.facts.root_seen;
  summary.root_service = service_name(headline.resource);
  summary.root_name = headline.name;
  summary.late = in.closed == nullptr;
  return summary;
}

void KeptTraceMaker::stamp(const TraceSummary& summary, const char* root, TimePoint now, Scratch& scratch) {
  std::vector<FrameSpan>& spans = scratch.spans;
  scratch.stamps.clear();
  const StampInput in{summary.id,
                      summary.verdict,
                      summary.policy,
                      tables_.thresholds.value_of(summary.verdict.threshold),
                      options_.wall_at_origin_ns + static_cast<std::uint64_t>((now - options_.origin).count()),
                      summary.late};
  const StampResult result = stamp_thresholds(in, scratch.trace_states, spans, scratch.stamps);
  if (result.unparsable != 0) unparsable_ += result.unparsable;
  if (result.no_room != 0) no_room_ += result.no_room;
  if (options_.record_policy == RecordPolicy::kOff) return;
  std::size_t at = 0;
  while (at + 1 < spans.size() && spans[at].span.data() != root) ++at;
  stamp_policy(in, options_.record_policy, at, spans, scratch.stamps);
}

std::optional<Shed> KeptTraceMaker::frame(const TraceSummary& summary, Scratch& scratch) {
  std::vector<FrameSpan>& spans = scratch.spans;
  std::vector<std::shared_ptr<KeptTrace>> parts;
  for (std::size_t from = 0; from < spans.size();) {
    std::size_t to = from;
    std::size_t bytes = 0;
    while (to < spans.size() && (to == from || bytes + spans[to].size() <= kPartBytes)) bytes += spans[to++].size();
    auto part = std::make_shared<KeptTrace>();
    static_cast<TraceSummary&>(*part) = summary;
    part->part = static_cast<std::uint32_t>(parts.size());
    part->spans = static_cast<std::uint32_t>(to - from);
    if (part->spans == spans.size()) {
      frame_trace(spans, part->otlp);
    } else {
      scratch.part.assign(spans.begin() + static_cast<std::ptrdiff_t>(from),
                          spans.begin() + static_cast<std::ptrdiff_t>(to));
      frame_trace(scratch.part, part->otlp);
    }
    part->charge = Charge(budget_, Holder::kQueues);
    if (!part->charge.try_grow(part->bytes()) &&
        !(sink_.make_room(part->bytes(), summary.verdict.by_chance()) && part->charge.try_grow(part->bytes()))) {
      return Shed::kQueueFull;
    }
    parts.push_back(std::move(part));
    from = to;
  }
  for (const std::shared_ptr<KeptTrace>& part : parts) {
    part->parts = static_cast<std::uint32_t>(parts.size());
    scratch.out.push_back(part);
  }
  return std::nullopt;
}

}  // namespace tailgate

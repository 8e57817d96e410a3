// SPDX-License-Identifier: Apache-2.0
#include "buffer/store/kept_trace_maker.h"

#include <boost/unordered/unordered_flat_map.hpp>
#include <functional>
#include <memory>
#include <utility>

#include "codec/hex.h"
#include "model/threshold.h"
#include "wire/otlp/scan.h"

namespace tailgate {
namespace {

constexpr std::string_view kKeptAfterKey = "tailgate.kept_after";  // of a scope
constexpr std::size_t kPartBytes = 2 << 20;                        // of spans in one KeptTrace

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

// Finds spans that a backend would refuse, and the spans of other traces with them, and repairs those that it can. It
// looks at a resource or scope once for each run of spans that share it, and repairs it once for the trace. It asks
// `room` for the memory of what it repaired; without room it repairs nothing more.
class SpanCheck {
 public:
  using Room = std::function<bool(std::size_t)>;
  SpanCheck(std::deque<std::string>& written, Repairs& repairs, Room room)
      : written_(written), repairs_(repairs), room_(std::move(room)) {}

  bool has_room() const { return has_room_; }

  // True if the span is sound now. The parts that were repaired are bytes of `written`.
  bool make_sound(FrameSpan& span) {
    return resource_.make_sound(span.resource, Part::kResource, *this) &&
           scope_.make_sound(span.scope, Part::kScope, *this) && make_sound(span.span, Part::kSpan);
  }

 private:
  bool make_sound(ByteView& bytes, Part part) {
    const Form form = form_of(bytes, part);
    if (form != Form::kRepairable) return form == Form::kSound;
    bytes = repaired(bytes, part);
    return true;
  }

  ByteView repaired(ByteView bytes, Part part) {
    if (!has_room_) return bytes;
    std::string& out = written_.emplace_back();
    out.reserve(bytes.size() + bytes.size() / 8);
    repair(bytes, part, out, repairs_);
    has_room_ = room_(out.capacity());
    return out;
  }

  // Two prefixes are the same when their addresses are: the buffer keeps one copy of each.
  struct Prefix {
    ByteView last, sound;  // what was asked last, and what it became
    bool last_is_good = true;
    boost::unordered_flat_map<const char*, ByteView> repaired;

    bool make_sound(ByteView& bytes, Part part, SpanCheck& check) {
      if (bytes.data() != last.data() || bytes.size() != last.size()) {
        const Form form = form_of(bytes, part);
        last = sound = bytes;
        last_is_good = form != Form::kBroken;
        if (form == Form::kRepairable) {
          ByteView& known = repaired[bytes.data()];
          if (known.empty()) known = check.repaired(bytes, part);
          sound = known;
        }
      }
      bytes = sound;
      return last_is_good;
    }
  };

  std::deque<std::string>& written_;
  Repairs& repairs_;
  const Room room_;
  bool has_room_ = true;
  Prefix resource_, scope_;
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
  Charge repaired(budget_, Holder::kQueues);
  std::shared_ptr<Delivery> delivery;
  if (log_ != nullptr && (in.kept_after.empty() || in.request != 0)) {
    delivery = in.closed != nullptr ? log_->delivery({in.id, in.closed->order, in.closed->upto, 0, in.closed->first})
                                    : log_->delivery({in.id, 0, 0, in.request, in.now});
  }
  const SettledSpans result = make(in, scratch, repaired, delivery);
  if (delivery != nullptr) {  // shed: nobody will have it, unless who keeps it after the fact tries again
    if (!in.kept_after.empty()) delivery->lost();
    std::size_t bytes = 0;
    for (const FrameSpan& span : scratch.spans) bytes += span.span.size();
    if (result.shed == Shed::kQueueFull && bytes < budget_.cap(Holder::kQueues) / 2) delivery->pushed_out();
    delivery->part_gone();
  }
  scratch.written.clear();
  return result;
}

SettledSpans KeptTraceMaker::make(const Input& in, Scratch& scratch, Charge& repaired,
                                  std::shared_ptr<Delivery>& delivery) {
  SettledSpans result;
  const Headline headline = check(in, scratch, repaired, result);
  if (scratch.spans.empty() || result.shed) return result;
  const TraceSummary summary = summarize(in, headline);
  if (summary.exporters == 0) {
    result.shed = Shed::kNoExporter;
    return result;
  }
  stamp(summary, headline.span, in.now, scratch);
  if (!in.kept_after.empty()) stamp_scopes(kKeptAfterKey, in.kept_after, scratch.spans, scratch.written);
  result.shed = frame(summary, scratch, delivery);
  return result;
}

// A span is scanned only if somebody still needs a field of it. The predicates are asked about the bytes that came, as
// when they judged the trace.
KeptTraceMaker::Headline KeptTraceMaker::check(const Input& in, Scratch& scratch, Charge& repaired,
                                               SettledSpans& result) {
  Headline headline;
  Repairs repairs;
  SpanCheck checked(scratch.written, repairs,
                    [&](std::size_t bytes) { return grow(repaired, bytes, in.verdict.by_chance()); });
  DecidingSpans deciding(in.closed, in.now_unix_ns);
  const bool wants_states = tables_.thresholds.value_of(in.verdict.threshold) != kCertain;
  scratch.trace_states.clear();
  ByteView first_repaired;
  std::size_t sound = 0;
  for (FrameSpan span : scratch.spans) {
    SpanFields fields;
    ByteView no_attributes;
    bool scanned = deciding.wanted();
    if (scanned && scan_span(span.span, deciding.plan(), fields, deciding.attributes())) deciding.ask(span, fields);
    const char* const came = span.span.data();
    if (!checked.make_sound(span)) continue;
    scanned &= span.span.data() == came;
    if (first_repaired.empty() && span.span.data() != came) first_repaired = span.span;
    if (!scanned && (!headline.root || wants_states)) {
      fields = {};
      scan_span(span.span, no_plan(), fields, &no_attributes);
    }
    if (!headline.root && (headline.span == nullptr || !fields.has_parent())) {
      headline = {span.resource, fields.name, span.span.data(), !fields.has_parent()};
    }
    if (wants_states) scratch.trace_states.push_back(fields.trace_state);
    scratch.spans[sound++] = span;
  }
  result.malformed = static_cast<std::uint32_t>(scratch.spans.size() - sound);
  if (!checked.has_room()) result.shed = Shed::kQueueFull;
  scratch.spans.resize(sound);
  if (repairs.texts + repairs.values != 0) report(repairs, first_repaired, in, headline);
  return headline;
}

void KeptTraceMaker::report(const Repairs& repairs, ByteView first, const Input& in, const Headline& headline) {
  repaired_texts_ += repairs.texts;
  cut_values_ += repairs.values;
  const auto held = repair_log_.pass(in.now);
  if (!held) return;
  SpanFields fields;
  ByteView no_attributes;
  scan_span(first, no_plan(), fields, &no_attributes);
  log_warn("spans were repaired so that backends take them, see tailgate_kept_repairs_total",
           {{"trace_id", in.id.hex()},
            {"span_id", to_hex(fields.span_id)},
            {"service", service_name(headline.resource)},
            {"texts", repairs.texts},
            {"values", repairs.values},
            {"held_back", *held}});
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
  summary.late = in.closed == nullptr && in.kept_after.empty();
  return summary;
}

void KeptTraceMaker::stamp(const TraceSummary& summary, const char* root, TimePoint now, Scratch& scratch) {
  std::vector<FrameSpan>& spans = scratch.spans;
  const StampInput in{summary.id,
                      summary.verdict,
                      summary.policy,
                      tables_.thresholds.value_of(summary.verdict.threshold),
                      options_.wall_at_origin_ns + static_cast<std::uint64_t>((now - options_.origin).count()),
                      summary.late};
  const StampResult result = stamp_thresholds(in, scratch.trace_states, spans, scratch.written);
  if (result.unparsable != 0) unparsable_ += result.unparsable;
  if (result.no_room != 0) no_room_ += result.no_room;
  if (options_.record_policy == RecordPolicy::kOff) return;
  std::size_t at = 0;
  while (at + 1 < spans.size() && spans[at].span.data() != root) ++at;
  stamp_policy(in, options_.record_policy, at, spans, scratch.written);
}

bool KeptTraceMaker::grow(Charge& charge, std::size_t bytes, bool by_chance) {
  return charge.try_grow(bytes) || (sink_.make_room(bytes, by_chance) && charge.try_grow(bytes));
}

std::optional<Shed> KeptTraceMaker::frame(const TraceSummary& summary, Scratch& scratch,
                                          std::shared_ptr<Delivery>& delivery) {
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
    if (!grow(part->charge, part->bytes(), summary.verdict.by_chance())) return Shed::kQueueFull;
    parts.push_back(std::move(part));
    from = to;
  }
  if (delivery != nullptr) delivery->expect(static_cast<std::uint32_t>(parts.size()));
  for (const std::shared_ptr<KeptTrace>& part : parts) {
    part->delivery.set(delivery);
    part->parts = static_cast<std::uint32_t>(parts.size());
    scratch.out.push_back(part);
  }
  delivery.reset();
  return std::nullopt;
}

}  // namespace tailgate

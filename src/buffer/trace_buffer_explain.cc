// SPDX-License-Identifier: Apache-2.0
// TraceBuffer's memory of what became of its traces.
#include <algorithm>
#include <utility>

#include "buffer/trace_buffer.h"
#include "wire/otlp/scan.h"

namespace tailgate {
namespace {

constexpr std::uint32_t kLooksPerSecond = 16;  // traces whose values are noted, of a shard
constexpr std::size_t kSpansLookedAt = 100;    // of each

}  // namespace

void TraceBuffer::note_deciding(const OpenTrace& open, const TraceShape& shape, ClosedTrace& kept) const {
  JudgedTrace judged{open.id, open.facts,         words_of_judged_, words_of_judged_ + policies_->plan().bit_words(),
                     &shape,  kept.verdict.reason};
  judged.random = random_;
  judged.again = true;
  for (std::size_t i = 0; i < ballots_.size() && kept.deciding_count < kept.deciding.size(); ++i) {
    if (!ballots_[i].sampled()) continue;
    const int bit = policies_->policy(i).deciding_bit(judged);
    if (bit >= 0)
      kept.deciding[kept.deciding_count++] = {static_cast<std::uint32_t>(bit), static_cast<std::uint32_t>(i), 0};
  }
}

void TraceBuffer::remember(const OpenTrace& open, const Verdict& verdict, std::uint32_t now_ms,
                           const OpenTraceShape& shape) {
  ExplainRecord& record = explain_.put(open.id, ballots_);
  record.random = ballots_.empty() ? randomness_of(open.id) : random_;
  record.duration_ns = open.facts.duration_ns();
  record.bytes = open.facts.bytes;
  record.first_ms = open.first_ms;
  record.closed_ms = now_ms;
  record.spans = open.facts.spans;
  record.errors = open.facts.errors;
  record.missing = shape.missing_parents();
  record.root_seen = open.facts.root_seen;
  record.services = static_cast<std::uint16_t>(std::min<std::uint32_t>(shape.services_asked(), UINT16_MAX));
  record.depth = static_cast<std::uint16_t>(std::min<std::uint32_t>(shape.depth_asked(), UINT16_MAX));
  if (!ballots_.empty()) explain_.put_words(record, words_of_judged_, policies_->plan().words());
  record.epoch = policies_->epoch();
  record.verdict = verdict;
  record.shed_step = open.shed_step;
  if (open.root_name != 0) record.set_root(roots_.at(open.root_name).service, roots_.at(open.root_name).name);
  if (record.missing != 0) note_missing(open, record);
  if (ballots_.empty() || policies_->plan().keys_of_policies() == 0) return;
  if (std::exchange(looks_second_, now_ms / 1000) != now_ms / 1000) looks_ = 0;
  if (looks_++ < kLooksPerSecond) note_values(open, record);
}

// What was there where policies looked for something else. That needs the spans once more, so it is done for some
// traces only: for all where there are few, and at high rates for so few that it costs nothing that can be measured.
void TraceBuffer::note_values(const OpenTrace& open, ExplainRecord& record) {
  const ScanPlan& plan = policies_->plan();
  ExplainValues& values = explain_.new_values(record);
  values.whole = true;
  attributes_.resize(plan.attribute_keys().size() + 1);
  resource_attributes_.resize(attributes_.size());
  resource_words_.resize(plan.words());
  gather_payload(pool_, open, payload_);
  std::uint32_t last_prefix = kNoPrefix;
  std::size_t spans = 0;
  for_each_span(payload_, [&](std::uint32_t number, ByteView span) {
    SpanFields fields;
    if (++spans > kSpansLookedAt || !scan_span(span, plan, fields, attributes_.data())) {
      values.whole = false;
      return;
    }
    if (number != last_prefix) {
      ask_resource(plan, prefixes_.at(number).resource(), resource_attributes_.data(), resource_words_.data());
    }
    last_prefix = number;
    for (std::size_t slot = 0; slot < plan.keys_of_policies(); ++slot) {
      const ByteView own = attributes_[slot].data() != nullptr ? attributes_[slot] : resource_attributes_[slot];
      if (own.data() != nullptr) values.add(slot, attribute_value(own));
    }
  });
}

// The ids of the first few parents that did not come; links know them by hash only. After LinkScan::missing_parents().
void TraceBuffer::note_missing(const OpenTrace& open, ExplainRecord& record) {
  ExplainDetail& detail = explain_.detail(record);
  static const ScanPlan no_plan;
  gather_payload(pool_, open, payload_);
  std::size_t i = 0;
  for_each_span(payload_, [&](std::uint32_t, ByteView span) {
    const SpanLink link = links_.links[i++];
    if (link.parent == 0 || detail.missing_count == ExplainDetail::kMissing || links_.has(link.parent)) return;
    SpanFields fields;
    ByteView none;
    scan_span(span, no_plan, fields, &none);
    const auto id = load_le<std::uint64_t>(fields.parent_span_id.data());
    const std::uint64_t* const first = detail.missing;
    const std::uint64_t* const end = first + detail.missing_count;
    if (std::find(first, end, id) == end) detail.missing[detail.missing_count++] = id;
  });
}

TraceBuffer::Remembered TraceBuffer::remembered(const ExplainRecord& record) const {
  Remembered out;
  out.record = record;
  out.service = record.service();
  out.name = record.name();
  for (std::size_t i = 0; i < record.votes; ++i) out.votes.push_back(explain_.vote(record, i));
  out.words.assign(explain_.words(record), explain_.words(record) + record.words);
  if (const ExplainDetail* detail = explain_.find_detail(record)) out.detail = *detail;
  if (const ExplainValues* values = explain_.find_values(record)) out.values = *values;
  return out;
}

bool TraceBuffer::knows(const TraceId& id) const {
  const auto is_it = [&](ChunkRef ref) { return trace(ref).id == id; };
  return by_id_.find(hash_of(id), is_it) != kNoChunk || cache_.find(id).has_value();
}

std::optional<TraceBuffer::Remembered> TraceBuffer::explain(const TraceId& id) {
  const ChunkRef ref = by_id_.find(hash_of(id), [&](ChunkRef r) { return trace(r).id == id; });
  if (ref == kNoChunk) {
    if (const ExplainRecord* const record = explain_.find(id)) return remembered(*record);
    const std::optional<Verdict> verdict = cache_.find(id);
    if (!verdict) return std::nullopt;
    Remembered out;
    out.record.id = id;
    out.record.verdict = *verdict;
    out.verdict_only = true;
    return out;
  }
  OpenTrace& open = trace(ref);
  Remembered out;
  out.open = true;
  out.record.id = id;
  out.record.random = open.epoch == policies_->epoch()
                          ? random_of(id, open.word_array() + policies_->plan().bit_words())
                          : randomness_of(id);
  out.record.duration_ns = open.facts.duration_ns();
  out.record.bytes = open.facts.bytes;
  out.record.first_ms = open.first_ms;
  out.record.spans = open.facts.spans;
  out.record.errors = open.facts.errors;
  out.record.shed_step = open.shed_step;
  read_links(pool_, open, links_.links);
  out.record.missing = links_.missing_parents();
  out.record.verdict.complete = open.facts.root_seen && out.record.missing == 0;
  if (open.root_name != 0) {
    out.service = roots_.at(open.root_name).service;
    out.name = roots_.at(open.root_name).name;
  }
  return out;
}

std::uint64_t TraceBuffer::wall_ns(std::uint32_t ms) const {
  const std::uint64_t ago_ms = latest_ms_ - ms;  // wraps with the milliseconds
  // From the whole millisecond, not from what has passed of it: the same moment whenever it is asked for.
  const auto latest = std::chrono::floor<std::chrono::milliseconds>(latest_ - origin_);
  return wall_at_origin_ns_ + static_cast<std::uint64_t>(Duration(latest).count()) - ago_ms * 1'000'000;
}

}  // namespace tailgate

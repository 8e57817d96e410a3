// SPDX-License-Identifier: Apache-2.0
#include "journal/history.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <tuple>

namespace tailgate {

void JournalHistory::load(const std::string& directory, const std::vector<std::uint64_t>& segments,
                          const VerdictWords& words) {
  std::vector<JournalDelivery> deliveries;
  for (const std::uint64_t segment : segments) {
    scan(
        directory, segment,
        [&](std::vector<JournalVerdict>&& found) {
          for (const JournalVerdict& v : found)
            entries_.push_back({v.id, v.order, v.upto, words.verdict_of(v.verdict, v.words), v.moved});
        },
        [&](std::vector<JournalDelivery>&& found) { deliveries.insert(deliveries.end(), found.begin(), found.end()); },
        [&](std::vector<std::uint64_t>&& found) { passed_on_.insert(found.begin(), found.end()); });
  }
  const auto key = [](const Entry& e) { return std::tie(e.id, e.order, e.upto); };
  std::sort(entries_.begin(), entries_.end(), [&](const Entry& a, const Entry& b) { return key(a) < key(b); });
  for (const JournalDelivery& d : deliveries) {
    if (d.request != 0) {
      late_.emplace_back(d.id, d.request);
      continue;
    }
    const auto [first, last] = of(d.id);
    for (Entry& e : std::span(entries_).subspan(static_cast<std::size_t>(first - entries_.data()),
                                                static_cast<std::size_t>(last - first))) {
      if (e.order != d.order) continue;
      if (d.upto == 0 || d.upto == e.upto) e.delivered = true;
      e.delivered_upto = std::max(e.delivered_upto, d.upto);
    }
  }
  std::sort(late_.begin(), late_.end());
}

void JournalHistory::pass(const std::string& directory, std::uint64_t segment, const VerdictWords& words,
                          const Take& take) {
  scan(directory, segment,
       [&](std::vector<JournalVerdict>&& found) {
         for (const JournalVerdict& v : found) {
           if (!v.moved) take(v.id, words.verdict_of(v.verdict, v.words));
         }
       },
       {}, {});
}

void JournalHistory::scan(const std::string& directory, std::uint64_t segment,
                          const std::function<void(std::vector<JournalVerdict>&&)>& verdicts,
                          const std::function<void(std::vector<JournalDelivery>&&)>& deliveries,
                          const std::function<void(std::vector<std::uint64_t>&&)>& passed_on) {
  const std::string path = ends_path(directory, segment);
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return;
  const auto reader = BlockReader::open(path);
  if (!reader) {
    ++damaged_;
    return;
  }
  const auto found = (*reader)->scan(0, [&](const Block& block) {
    for (const Record& record : block.records) {
      if (auto decided = read_verdicts(record)) {
        verdicts(std::move(*decided));
      } else if (auto delivered = read_deliveries(record)) {
        if (deliveries) deliveries(std::move(*delivered));
      } else if (auto passed = read_passed_on(record)) {
        if (passed_on) passed_on(std::move(*passed));
      } else if (!read_settled(record)) {
        ++damaged_;
      }
    }
    return true;
  });
  damaged_ += found ? found->damaged : 1;
}

std::pair<const JournalHistory::Entry*, const JournalHistory::Entry*> JournalHistory::of(const TraceId& id) const {
  const Entry* const begin = entries_.data();
  const Entry* const end = begin + entries_.size();
  const Entry* const first =
      std::lower_bound(begin, end, id, [](const Entry& e, const TraceId& wanted) { return e.id < wanted; });
  const Entry* last = first;
  while (last != end && last->id == id) ++last;
  return {first, last};
}

bool JournalHistory::ended(const TraceId& id, const JournalRequest& request, std::uint64_t position) const {
  const auto [first, last] = of(id);
  if (first == last) return false;
  const Entry* e = first;
  while (e != last && !e->covers(request, position)) ++e;
  const bool late = e == last;
  if (late) --e;               // the trace was decided, and this came later
  if (e->moved) return !late;  // what came later came back
  if (e->verdict.decision != Decision::kSampled) return true;
  if (!late && (e->delivered || position < e->delivered_upto)) return true;
  return delivered(id, request.number);
}

bool JournalHistory::delivered(const TraceId& id, std::uint64_t request) const {
  return std::binary_search(late_.begin(), late_.end(), std::pair(id, request));
}

std::optional<JournalHistory::Foregone> JournalHistory::find(const TraceId& id) const {
  const auto [first, last] = of(id);
  for (const Entry* e = last; e != first;) {
    if (open(*--e)) return Foregone{e->verdict, e->order};
  }
  return std::nullopt;
}

}  // namespace tailgate

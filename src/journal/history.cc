// SPDX-License-Identifier: Apache-2.0
#include "journal/history.h"

#include <algorithm>
#include <filesystem>
#include <tuple>

namespace tailgate {

void JournalHistory::load(const std::string& directory, const std::vector<std::uint64_t>& segments,
                          const VerdictWords& words) {
  std::vector<JournalDelivery> deliveries;
  for (const std::uint64_t segment : segments) {
    const std::string path = ends_path(directory, segment);
    std::error_code error;
    if (!std::filesystem::exists(path, error)) continue;
    const auto reader = BlockReader::open(path);
    if (!reader) {
      ++damaged_;
      continue;
    }
    const auto found = (*reader)->scan(0, [&](const Block& block) {
      take(block, words, deliveries);
      return true;
    });
    damaged_ += found ? found->damaged : 1;
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

void JournalHistory::take(const Block& block, const VerdictWords& words, std::vector<JournalDelivery>& deliveries) {
  for (const Record& record : block.records) {
    if (const auto verdicts = read_verdicts(record)) {
      for (const JournalVerdict& v : *verdicts) {
        entries_.push_back({v.id, v.order, v.upto, words.verdict_of(v.verdict, v.words)});
      }
    } else if (const auto delivered = read_deliveries(record)) {
      deliveries.insert(deliveries.end(), delivered->begin(), delivered->end());
    } else if (!read_settled(record)) {
      ++damaged_;
    }
  }
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
  if (late) --e;  // the trace was decided, and this came later
  if (e->verdict.decision != Decision::kSampled) return true;
  if (!late && (e->delivered || position < e->delivered_upto)) return true;
  return std::binary_search(late_.begin(), late_.end(), std::pair(id, request.number));
}

std::optional<JournalHistory::Foregone> JournalHistory::find(const TraceId& id) const {
  const auto [first, last] = of(id);
  if (first == last || !open(*(last - 1))) return std::nullopt;
  return Foregone{(last - 1)->verdict, (last - 1)->order};
}

}  // namespace tailgate

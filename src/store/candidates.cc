// SPDX-License-Identifier: Apache-2.0
#include "store/candidates.h"

#include <algorithm>
#include <iterator>

#include "store/catalogue.h"

namespace tailgate {
namespace {

void sort_unique(std::vector<TraceNumber>& v) {
  if (!std::is_sorted(v.begin(), v.end())) std::sort(v.begin(), v.end());  // files come in the order of numbers
  v.erase(std::unique(v.begin(), v.end()), v.end());
}

// Traces of a partition that another process writes have parts that no file of postings has yet: any of them may match.
Result<std::vector<TraceNumber>> without_postings(Database& db, std::int64_t from) {
  std::vector<TraceNumber> out;
  auto rows =
      db.prepare("SELECT number FROM traces WHERE number>=?1 UNION ALL SELECT trace FROM more_parts WHERE number>=?1");
  if (!rows) return tl::unexpected(rows.error());
  rows->bind(1, from);
  while (true) {
    const Result<bool> row = rows->step();
    if (!row) return tl::unexpected(row.error());
    if (!*row) return out;
    out.push_back(static_cast<TraceNumber>(rows->number(0)));
  }
}

// False when the file is damaged.
bool find_in(const PostingFile* file, const NeededTerms& needed, CandidateLists& lists) {
  std::vector<TraceNumber> any;
  bool whole = file && file->find(kAnyTerm, any);
  for (std::size_t i = 0; i != lists.size(); ++i) {
    if (!lists[i]) continue;
    bool good = whole;
    for (const TermHash term : needed.lists()[i]) good = good && file->find(term, *lists[i]);
    if (good) {
      lists[i]->insert(lists[i]->end(), any.begin(), any.end());
    } else {
      lists[i].reset();  // the answer stays right, and takes longer
      whole = false;
    }
  }
  return whole;
}

}  // namespace

NeededTerms::NeededTerms(const TraceNeeds& needs) {
  for (const std::vector<TraceTerm>& alternatives : needs.all) {
    std::vector<TermHash> hashes;
    bool all = false;
    for (const TraceTerm& term : alternatives) {
      const std::optional<TermHash> hash = term_of(term);
      all = all || !hash;
      if (hash) hashes.push_back(*hash);
    }
    if (!all) lists_.push_back(std::move(hashes));
  }
}

CandidateLists recent_candidates(const Partition& partition, const NeededTerms& needed) {
  CandidateLists lists(needed.lists().size());
  for (std::size_t i = 0; i != lists.size(); ++i) {
    lists[i].emplace();
    if (!partition.recent()) continue;
    partition.recent()->find(kAnyTerm, *lists[i]);
    for (const TermHash term : needed.lists()[i]) partition.recent()->find(term, *lists[i]);
  }
  return lists;
}

Result<void> add_stored_candidates(Partition& partition, Database& db, const NeededTerms& needed,
                                   const CandidateTime& time, CandidateLists& lists,
                                   std::set<std::string>& damaged_files) {
  if (lists.empty()) return {};
  auto ends = db.prepare("SELECT max(last)+1 FROM posting_files");
  if (!ends) return tl::unexpected(ends.error());
  if (const Result<bool> row = ends->step(); !row) return tl::unexpected(row.error());
  const std::int64_t end = std::max<std::int64_t>(1, ends->number(0));
  auto files = db.prepare("SELECT first FROM posting_files WHERE start_ns<=? AND end_ns>=? ORDER BY first");
  if (!files) return tl::unexpected(files.error());
  files->bind(1, to_sql(time.to_ns)).bind(2, to_sql(time.from_ns));
  while (true) {
    const Result<bool> row = files->step();
    if (!row) return tl::unexpected(row.error());
    if (!*row) break;
    const auto first = static_cast<std::uint64_t>(files->number(0));
    if (!find_in(partition.posting_file(first).get(), needed, lists)) {
      damaged_files.insert(posting_path(partition.folder(), first));
    }
  }
  std::vector<TraceNumber> open;
  if (!partition.recent()) {
    auto found = without_postings(db, end);
    if (!found) return tl::unexpected(found.error());
    open = std::move(*found);
  }
  for (std::optional<std::vector<TraceNumber>>& list : lists) {
    if (!list) continue;
    list->insert(list->end(), open.begin(), open.end());
    sort_unique(*list);
  }
  return {};
}

std::optional<std::vector<TraceNumber>> in_all(const CandidateLists& lists) {
  std::optional<std::vector<TraceNumber>> out;
  for (const std::optional<std::vector<TraceNumber>>& list : lists) {
    if (!list) continue;
    if (!out) {
      out = list;
      continue;
    }
    std::vector<TraceNumber> both;
    std::set_intersection(out->begin(), out->end(), list->begin(), list->end(), std::back_inserter(both));
    out = std::move(both);
  }
  return out;
}

}  // namespace tailgate

// SPDX-License-Identifier: Apache-2.0
#include "buffer/explain_log.h"

#include <algorithm>

#include "base/hash.h"

namespace tailgate {
namespace {

constexpr std::size_t kRecordsPerBucket = 5;   // of 16 places, so that hardly any is pushed out before its record
constexpr std::size_t kRecordsPerDetail = 12;  // kept traces and incomplete ones are few
constexpr std::size_t kRecordsPerValues = 24;  // people ask about new ones

}  // namespace

void ExplainRecord::set_root(ByteView service, ByteView name) {
  service_size = static_cast<std::uint8_t>(std::min(service.size(), kNameBytes));
  name_size = static_cast<std::uint8_t>(std::min(name.size(), kNameBytes - service_size));
  if (service_size != 0) std::memcpy(names, service.data(), service_size);
  if (name_size != 0) std::memcpy(names + service_size, name.data(), name_size);
}

ExplainLog::ExplainLog(std::size_t bytes_max, std::size_t policies_max, std::size_t words_max, std::uint64_t seed)
    : seed_(seed) {
  vote_bytes_ = (policies_max + 31) / 32 * 8;
  words_max_ = words_max;
  record_bytes_ = sizeof(ExplainRecord) + vote_bytes_ + words_max_ * sizeof(std::uint64_t);
  const double each = static_cast<double>(record_bytes_) + kWays * 4.0 / kRecordsPerBucket +
                      static_cast<double>(sizeof(ExplainDetail)) / kRecordsPerDetail +
                      static_cast<double>(sizeof(ExplainValues)) / kRecordsPerValues;
  const auto records = static_cast<std::size_t>(static_cast<double>(bytes_max) / each);
  if (records < kRecordsPerValues) return;
  capacity_ = std::min<std::size_t>(records, UINT32_MAX - 1);
  ring_ = PageArray<char>(capacity_ * record_bytes_, PageKind::kSmall);
  buckets_ = capacity_ / kRecordsPerBucket + 1;
  index_ = PageArray<std::uint32_t>(buckets_ * kWays, PageKind::kHuge);
  details_ = PageArray<ExplainDetail>(capacity_ / kRecordsPerDetail, PageKind::kSmall);
  values_ = PageArray<ExplainValues>(capacity_ / kRecordsPerValues, PageKind::kSmall);
}

std::uint32_t* ExplainLog::bucket(const TraceId& id) const {
  __extension__ using Wide = unsigned __int128;
  const std::uint64_t hash = hash_bytes(id.view(), seed_);
  return &index_[static_cast<std::size_t>(static_cast<Wide>(hash) * buckets_ >> 64) * kWays];
}

ExplainRecord& ExplainLog::put(const TraceId& id, const std::vector<Ballot>& ballots) {
  const auto number = static_cast<std::size_t>(next_ % capacity_);
  ++next_;
  ExplainRecord& record = at(number);
  record = ExplainRecord();
  record.id = id;
  record.votes = static_cast<std::uint16_t>(std::min<std::size_t>(ballots.size(), vote_bytes_ * 4));
  auto* const votes = reinterpret_cast<unsigned char*>(&record + 1);
  std::memset(votes, 0, vote_bytes_);
  for (std::size_t i = 0; i < record.votes; ++i) {
    votes[i / 4] =
        static_cast<unsigned char>(votes[i / 4] | (static_cast<unsigned>(ballots[i].vote) & 3) << (i % 4 * 2));
  }
  // The newest stands first; what falls out at the end is the oldest.
  std::uint32_t* const places = bucket(id);
  std::size_t out = 0;
  while (out < kWays - 1 && places[out] != 0 && places[out] != number + 1) ++out;
  std::memmove(places + 1, places, out * sizeof *places);
  places[0] = static_cast<std::uint32_t>(number + 1);
  return record;
}

ExplainRecord* ExplainLog::find(const TraceId& id) {
  if (!on()) return nullptr;
  const std::uint32_t* const places = bucket(id);
  for (std::size_t i = 0; i < kWays && places[i] != 0; ++i) {
    ExplainRecord& record = at(places[i] - 1);
    if (record.id == id) return &record;
  }
  return nullptr;
}

ExplainDetail& ExplainLog::detail(ExplainRecord& record) {
  const auto owner = static_cast<std::uint32_t>(number_of(record) + 1);
  if (record.detail == 0 || details_[record.detail - 1].record != owner) {
    const auto number = static_cast<std::size_t>(next_detail_++ % details_.size());
    details_[number] = ExplainDetail();
    details_[number].record = owner;
    record.detail = static_cast<std::uint32_t>(number + 1);
  }
  return details_[record.detail - 1];
}

const ExplainDetail* ExplainLog::find_detail(const ExplainRecord& record) const {
  if (record.detail == 0) return nullptr;
  const ExplainDetail& detail = details_[record.detail - 1];
  return detail.record == number_of(record) + 1 ? &detail : nullptr;
}

ExplainValues& ExplainLog::new_values(ExplainRecord& record) {
  const auto number = static_cast<std::size_t>(next_values_++ % values_.size());
  values_[number] = ExplainValues();
  values_[number].record = static_cast<std::uint32_t>(number_of(record) + 1);
  record.values = static_cast<std::uint32_t>(number + 1);
  return values_[number];
}

const ExplainValues* ExplainLog::find_values(const ExplainRecord& record) const {
  if (record.values == 0) return nullptr;
  const ExplainValues& values = values_[record.values - 1];
  return values.record == number_of(record) + 1 ? &values : nullptr;
}

Vote ExplainLog::vote(const ExplainRecord& record, std::size_t policy) const {
  const auto* const votes = reinterpret_cast<const unsigned char*>(&record + 1);
  return static_cast<Vote>(votes[policy / 4] >> (policy % 4 * 2) & 3);
}

void ExplainLog::put_words(ExplainRecord& record, const std::uint64_t* words, std::size_t count) {
  if (count > words_max_) return;
  record.words = static_cast<std::uint8_t>(count);
  std::memcpy(reinterpret_cast<char*>(&record + 1) + vote_bytes_, words, count * sizeof *words);
}

const ExplainRecord* ExplainLog::recent(std::uint64_t age) const {
  if (age >= size()) return nullptr;
  return &at(static_cast<std::size_t>((next_ - 1 - age) % capacity_));
}

}  // namespace tailgate

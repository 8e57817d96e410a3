// SPDX-License-Identifier: Apache-2.0
#include "journal/record.h"

#include <array>
#include <boost/unordered/unordered_flat_map.hpp>

#include "codec/utf8.h"

namespace tailgate {
namespace {

constexpr std::size_t kTextMax = 255;       // of a receiver's name, of a format, and of a reason
constexpr std::size_t kRequestFront = 10;   // before the texts
constexpr std::size_t kVerdictBytes = 36;   // of one
constexpr std::size_t kDeliveryBytes = 40;  // of one
constexpr std::size_t kWordsMax = 0xFFFF;   // different ones in a record; the length of each

void append_text(std::string& out, std::string_view text) {
  text = start_of_text(text, kTextMax);
  out.push_back(static_cast<char>(text.size()));
  out += text;
}

bool take_text(std::string_view& in, std::string_view& text) {
  if (in.empty()) return false;
  const auto size = static_cast<unsigned char>(in[0]);
  if (in.size() < std::size_t{1} + size) return false;
  text = in.substr(1, size);
  in.remove_prefix(std::size_t{1} + size);
  return true;
}

template <class T>
T take(std::string_view& in) {
  const T value = load_le<T>(in.data());
  in.remove_prefix(sizeof(T));
  return value;
}

std::string id_of(std::uint64_t a, std::uint64_t b) {
  std::string out;
  append_le(out, a);
  append_le(out, b);
  return out;
}

constexpr unsigned kMoved = 32;

// Decision in bits 0 and 1, then complete, chance, shed and moved.
std::uint8_t bits_of(const JournalVerdict& of) {
  const Verdict& v = of.verdict;
  return static_cast<std::uint8_t>(static_cast<unsigned>(v.decision) | (v.complete ? 4U : 0U) | (v.chance ? 8U : 0U) |
                                   (v.shed ? 16U : 0U) | (of.moved ? kMoved : 0U));
}

std::optional<Verdict> verdict_of(std::uint8_t bits, std::uint8_t reason) {
  if ((bits & 3U) >= kDecisionNames.size() || bits > 63 || reason >= kCloseReasonNames.size()) return std::nullopt;
  Verdict out;
  out.decision = static_cast<Decision>(bits & 3U);
  out.reason = static_cast<CloseReason>(reason);
  out.complete = (bits & 4U) != 0;
  out.chance = (bits & 8U) != 0;
  out.shed = (bits & 16U) != 0;
  return out;
}

bool is(const Record& record, JournalRecord kind) { return record.kind == static_cast<std::uint8_t>(kind); }

bool append(std::string& raw, JournalRecord kind, std::string_view id, std::string_view front,
            std::string_view rest = {}) {
  return append_record(raw, static_cast<std::uint8_t>(kind), id, front, rest);
}

}  // namespace

bool append_request_front(std::string& raw, const JournalRequest& request) {
  static constexpr std::array kKinds = {JournalRecord::kRequest, JournalRecord::kForOthers, JournalRecord::kUnsure,
                                        JournalRecord::kKept};
  const JournalRecord kind = kKinds[static_cast<std::size_t>(request.whose)];
  std::string front;
  append_le(front, request.arrival_unix_ns);
  append_text(front, request.receiver);
  append_text(front, request.format);
  return append_record_front(raw, static_cast<std::uint8_t>(kind), id_of(request.number, request.order), front,
                             request.otlp.size());
}

bool append_request(std::string& raw, const JournalRequest& request) {
  if (!append_request_front(raw, request)) return false;
  raw += request.otlp;
  return true;
}

std::optional<JournalRequest> read_request(const Record& record) {
  return is(record, JournalRecord::kRequest) ? read_any_request(record) : std::nullopt;
}

std::optional<JournalRequest> read_any_request(const Record& record) {
  if (record.bytes.size() < kRequestFront) return std::nullopt;
  JournalRequest out;
  if (is(record, JournalRecord::kForOthers)) {
    out.whose = Whose::kOthers;
  } else if (is(record, JournalRecord::kUnsure)) {
    out.whose = Whose::kUnsure;
  } else if (is(record, JournalRecord::kKept)) {
    out.whose = Whose::kKept;
  } else if (!is(record, JournalRecord::kRequest)) {
    return std::nullopt;
  }
  out.number = load_le<std::uint64_t>(record.id.data());
  out.order = load_le<std::uint64_t>(record.id.data() + 8);
  std::string_view rest = record.bytes;
  out.arrival_unix_ns = take<std::uint64_t>(rest);
  if (!take_text(rest, out.receiver) || !take_text(rest, out.format)) return std::nullopt;
  out.otlp = rest;
  return out;
}

bool append_verdicts(std::string& raw, const std::vector<JournalVerdict>& verdicts) {
  boost::unordered_flat_map<std::string_view, std::uint16_t> numbers;  // of words, from 1
  std::string words, entries;
  for (const JournalVerdict& v : verdicts) {
    std::uint16_t number = 0;
    if (!v.words.empty() && v.words.size() <= kWordsMax) {
      const auto at = numbers.find(v.words);
      if (at != numbers.end()) {
        number = at->second;
      } else if (numbers.size() < kWordsMax) {
        number = static_cast<std::uint16_t>(numbers.size() + 1);
        numbers.emplace(v.words, number);
        append_le(words, static_cast<std::uint16_t>(v.words.size()));
        words += v.words;
      }
    }
    entries += v.id.view();
    append_le(entries, v.order);
    append_le(entries, v.upto);
    entries.push_back(static_cast<char>(bits_of(v)));
    entries.push_back(static_cast<char>(v.verdict.reason));
    append_le(entries, number);
  }
  std::string front;
  append_le(front, static_cast<std::uint16_t>(numbers.size()));
  front += words;
  return append(raw, JournalRecord::kVerdicts, id_of(0, 0), front, entries);
}

std::optional<std::vector<JournalVerdict>> read_verdicts(const Record& record) {
  std::string_view rest = record.bytes;
  if (!is(record, JournalRecord::kVerdicts) || rest.size() < 2) return std::nullopt;
  std::vector<std::string_view> words(take<std::uint16_t>(rest));
  for (std::string_view& text : words) {
    if (rest.size() < 2) return std::nullopt;
    const auto size = take<std::uint16_t>(rest);
    if (rest.size() < size) return std::nullopt;
    text = rest.substr(0, size);
    rest.remove_prefix(size);
  }
  if (rest.size() % kVerdictBytes != 0) return std::nullopt;
  std::vector<JournalVerdict> out;
  out.reserve(rest.size() / kVerdictBytes);
  while (!rest.empty()) {
    JournalVerdict& v = out.emplace_back();
    v.id = TraceId::from(rest.data());
    rest.remove_prefix(kRecordIdBytes);
    v.order = take<std::uint64_t>(rest);
    v.upto = take<std::uint64_t>(rest);
    const auto bits = take<std::uint8_t>(rest);
    const std::optional<Verdict> verdict = verdict_of(bits, take<std::uint8_t>(rest));
    const auto number = take<std::uint16_t>(rest);
    if (!verdict || number > words.size()) return std::nullopt;
    v.verdict = *verdict;
    v.moved = (bits & kMoved) != 0;
    if (number != 0) v.words = words[number - 1U];
  }
  return out;
}

bool append_deliveries(std::string& raw, const std::vector<JournalDelivery>& deliveries) {
  std::string entries;
  for (const JournalDelivery& d : deliveries) {
    entries += d.id.view();
    append_le(entries, d.order);
    append_le(entries, d.upto);
    append_le(entries, d.request);
  }
  return append(raw, JournalRecord::kDeliveries, id_of(0, 0), entries);
}

std::optional<std::vector<JournalDelivery>> read_deliveries(const Record& record) {
  std::string_view rest = record.bytes;
  if (!is(record, JournalRecord::kDeliveries) || rest.size() % kDeliveryBytes != 0) return std::nullopt;
  std::vector<JournalDelivery> out;
  out.reserve(rest.size() / kDeliveryBytes);
  while (!rest.empty()) {
    JournalDelivery& d = out.emplace_back();
    d.id = TraceId::from(rest.data());
    rest.remove_prefix(kRecordIdBytes);
    d.order = take<std::uint64_t>(rest);
    d.upto = take<std::uint64_t>(rest);
    d.request = take<std::uint64_t>(rest);
  }
  return out;
}

bool append_settled(std::string& raw, const JournalSettled& settled) {
  std::string left;
  for (const std::uint64_t segment : settled.left) append_le(left, segment);
  return append(raw, JournalRecord::kSettled, id_of(settled.below, 0), left);
}

std::optional<JournalSettled> read_settled(const Record& record) {
  std::string_view rest = record.bytes;
  if (!is(record, JournalRecord::kSettled) || rest.size() % sizeof(std::uint64_t) != 0) return std::nullopt;
  JournalSettled out{load_le<std::uint64_t>(record.id.data())};
  while (!rest.empty()) out.left.push_back(take<std::uint64_t>(rest));
  return out;
}

bool append_passed_on(std::string& raw, const std::vector<std::uint64_t>& numbers) {
  std::string entries;
  for (const std::uint64_t number : numbers) append_le(entries, number);
  return append(raw, JournalRecord::kPassedOn, id_of(0, 0), entries);
}

std::optional<std::vector<std::uint64_t>> read_passed_on(const Record& record) {
  std::string_view rest = record.bytes;
  if (!is(record, JournalRecord::kPassedOn) || rest.size() % sizeof(std::uint64_t) != 0) return std::nullopt;
  std::vector<std::uint64_t> out;
  out.reserve(rest.size() / sizeof(std::uint64_t));
  while (!rest.empty()) out.push_back(take<std::uint64_t>(rest));
  return out;
}

}  // namespace tailgate

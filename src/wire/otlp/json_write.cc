// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/json_write.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "codec/field_reader.h"
#include "codec/json_text.h"
#include "wire/otlp/item_limits.h"
#include "wire/otlp/schema_table.h"

namespace tailgate {
namespace {

// With an ItemRoom: the pieces in which one message may be split, and the items of a text besides one for each 4 bytes.
constexpr std::size_t kPiecesMax = 16'384, kItemsFree = 65'536, kItemBytes = 4;

using otlp::Absent;
using otlp::Field;
using otlp::FieldKind;
using otlp::Item;
using otlp::MessageType;

// The value of one field as it stands in the bytes. `field` is its index in fields_of() its message.
struct FieldValue {
  std::uint32_t field;
  std::uint64_t value;
  ByteView bytes;
};

void append_double(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "\"NaN\"";
  } else if (std::isinf(value)) {
    out += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  } else {
    append_number(out, value);
  }
}

class Writer {
 public:
  // When `room` is null everything is written. With `tempo_key` the JSON is Tempo's.
  Writer(std::string& out, ItemRoom* room, std::string_view tempo_key = {})
      : out_(out), room_(room), tempo_key_(tempo_key) {}

  // Recursion follows the schema; the only cycle in it goes through kAnyValue, which is counted.
  void message(MessageType type, ByteView bytes, int depth) {
    Level level(type, values_.size());
    begin(type);
    read(level, bytes);
    write(level, depth);
  }

  bool ok() const { return ok_; }

 private:
  bool is_tempo() const { return !tempo_key_.empty(); }

  // A message that is being written, and where its fields are in values_.
  struct Level {
    Level(MessageType of, std::size_t from) : type(of), fields(otlp::fields_of(of)), base(from) {}

    const MessageType type;
    const std::span<const Field> fields;
    const std::size_t base;
    std::uint32_t seen = 0;  // bits: fields that are present
    static_assert(otlp::kFieldsMax <= 32);
    std::uint32_t pieces = 0;
    std::array<std::uint32_t, otlp::kFieldsMax> at = {};  // of these, the last one in values_
    std::array<std::uint64_t, 4> left_out = {};           // by Item
  };

  void begin(MessageType type) {
    if (room_ == nullptr) return;
    if (type == MessageType::kSpan) room_->begin();
    if (type == MessageType::kResource || type == MessageType::kScope) room_->begin(kPrefixAttributesMax);
  }

  void read(Level& level, ByteView bytes) {
    FieldReader reader(bytes);
    while (reader.next()) {
      for (std::uint32_t i = 0; i < level.fields.size(); ++i) {
        const Field& f = level.fields[i];
        if (f.number == reader.number && otlp::wire_type(f.kind) == reader.type) take(level, i, reader);
      }
    }
    ok_ = ok_ && reader.ok();
  }

  // Keeps what counts: every element of a list, every piece of a message, the last value of a scalar, and the last
  // member of a oneof.
  void take(Level& level, std::uint32_t i, const FieldReader& reader) {
    const Field& f = level.fields[i];
    const FieldValue found{i, reader.value, reader.bytes};
    if (f.repeated) {
      if (!has_room(level, f.item)) return;
    } else if (otlp::is_oneof(level.type) && values_.size() > level.base && values_.back().field != i) {
      values_.resize(level.base);
      level.seen = 0;
    }
    if (!f.repeated && (level.seen >> i & 1) != 0) {
      if (f.kind != FieldKind::kMessage) {
        values_[level.at[i]] = found;
        return;
      }
      if (reader.bytes.empty() || (room_ != nullptr && ++level.pieces > kPiecesMax)) return;
    }
    level.seen |= 1u << i;
    level.at[i] = static_cast<std::uint32_t>(values_.size());
    values_.push_back(found);
  }

  bool has_room(Level& level, Item item) {
    if (room_ == nullptr || item == Item::kNone) return true;
    const bool room = item == Item::kEvent ? room_->event() : item == Item::kLink ? room_->link() : room_->attribute();
    if (!room && item != Item::kOther) ++level.left_out[static_cast<std::size_t>(item)];
    return room;
  }

  // Adds the elements that were left out to the number that the sender has dropped.
  void count(Level& level, std::uint32_t i) {
    const std::uint64_t more = level.left_out[static_cast<std::size_t>(level.fields[i].dropped)];
    if (more == 0) return;
    if ((level.seen >> i & 1) == 0) {
      level.at[i] = static_cast<std::uint32_t>(values_.size());
      values_.push_back({i, 0, {}});
    }
    FieldValue& found = values_[level.at[i]];
    found.value = dropped_sum(found.value, more);
  }

  void write(Level& level, int depth) {
    for (std::uint32_t i = 0; i < level.fields.size(); ++i) count(level, i);
    const std::size_t end = values_.size();
    out_ += '{';
    bool first = true;
    for (std::uint32_t i = 0; i < level.fields.size(); ++i) field(level.type, i, level.base, end, depth, first);
    out_ += '}';
    values_.resize(level.base);
  }

  void key(std::string_view name, bool& first) {
    if (!first) out_ += ',';
    first = false;
    out_ += '"';
    out_ += name;
    out_ += "\":";
  }

  void field(MessageType type, std::uint32_t at, std::size_t base, std::size_t end, int depth, bool& first) {
    const Field& f = otlp::fields_of(type)[at];
    if (f.repeated) {
      list(type, at, base, end, depth, first);
      return;
    }
    std::size_t count = 0;
    std::size_t last = 0;
    for (std::size_t i = base; i < end; ++i) {
      if (values_[i].field != at) continue;
      ++count;
      last = i;
    }
    if (f.kind == FieldKind::kMessage) {
      if (count == 0 && f.absent == Absent::kOmit) return;
      key(f.json_name, first);
      value_message(f.message, at, base, end, depth);
      return;
    }
    const FieldValue none{at, 0, {}};
    const FieldValue found = count == 0 ? none : values_[last];
    const bool is_default = found.value == 0 && found.bytes.empty();
    const bool omits = f.absent == Absent::kOmit || is_tempo();
    if (otlp::is_oneof(type) ? count == 0 : (is_default && omits)) return;
    key(f.json_name, first);
    if (is_tempo() && f.kind == FieldKind::kEnum) {
      enum_name(type, static_cast<std::int32_t>(found.value));
    } else {
      scalar(f.kind, found);
    }
  }

  void list(MessageType type, std::uint32_t at, std::size_t base, std::size_t end, int depth, bool& first) {
    const Field& f = otlp::fields_of(type)[at];
    bool open = false;
    for (std::size_t i = base; i < end; ++i) {
      if (values_[i].field != at) continue;
      if (!open) key(type == MessageType::kRequest && is_tempo() ? tempo_key_ : f.json_name, first);
      out_ += open ? ',' : '[';
      open = true;
      const FieldValue found = values_[i];
      if (f.kind == FieldKind::kMessage) {
        value_message(f.message, at, i, i + 1, depth);
      } else {
        scalar(f.kind, found);
      }
    }
    if (open) {
      out_ += ']';
    } else if (f.absent == Absent::kEmpty && !is_tempo()) {
      key(f.json_name, first);
      out_ += "[]";
    }
  }

  // Writes the message whose pieces are the values of field `at` between the indices `from` and `to`.
  void value_message(MessageType type, std::uint32_t at, std::size_t from, std::size_t to, int depth) {
    if (otlp::is_oneof(type) && ++depth > kValueDepthMax) {
      out_ += "null";
      return;
    }
    // The list of an attribute itself, not a list inside it: the room counts all that is inside at once.
    const bool outermost =
        room_ != nullptr && depth == 1 && (type == MessageType::kArrayValue || type == MessageType::kKeyValueList);
    Level level(type, values_.size());
    begin(type);
    for (std::size_t i = from; i < to; ++i) {
      if (values_[i].field != at) continue;
      const ByteView bytes = values_[i].bytes;
      read(level, outermost ? room_->values(bytes) : bytes);
    }
    write(level, depth);
  }

  // Of a span's kind or a status's code. A number without a name stays one.
  void enum_name(MessageType type, std::int32_t number) {
    static constexpr std::array<std::string_view, 6> kKinds = {"UNSPECIFIED", "INTERNAL", "SERVER",
                                                               "CLIENT",      "PRODUCER", "CONSUMER"};
    static constexpr std::array<std::string_view, 3> kCodes = {"UNSET", "OK", "ERROR"};
    const bool is_kind = type == MessageType::kSpan;
    const std::span<const std::string_view> names = is_kind ? std::span<const std::string_view>(kKinds) : kCodes;
    if (number < 0 || static_cast<std::size_t>(number) >= names.size()) return append_number(out_, number);
    out_ += is_kind ? "\"SPAN_KIND_" : "\"STATUS_CODE_";
    out_ += names[static_cast<std::size_t>(number)];
    out_ += '"';
  }

  void scalar(FieldKind kind, const FieldValue& found) {
    switch (kind) {
      case FieldKind::kText:
        append_json_string(out_, room_ != nullptr ? room_->text(found.bytes) : found.bytes);
        return;
      case FieldKind::kId:
        if (is_tempo()) {
          append_quoted_base64(out_, found.bytes);
        } else {
          append_quoted_hex(out_, found.bytes);
        }
        return;
      case FieldKind::kBytes:
        append_quoted_base64(out_, found.bytes);
        return;
      case FieldKind::kUint32:
      case FieldKind::kFixed32:
        append_number(out_, static_cast<std::uint32_t>(found.value));
        return;
      case FieldKind::kEnum:
        append_number(out_, static_cast<std::int32_t>(found.value));
        return;
      case FieldKind::kFixed64:
        append_quoted(out_, found.value);
        return;
      case FieldKind::kInt64:
        append_quoted(out_, static_cast<std::int64_t>(found.value));
        return;
      case FieldKind::kBool:
        out_ += found.value != 0 ? "true" : "false";
        return;
      case FieldKind::kDouble:
        append_double(out_, std::bit_cast<double>(found.value));
        return;
      case FieldKind::kMessage:
        return;
    }
  }

  std::string& out_;
  ItemRoom* const room_;
  const std::string_view tempo_key_;
  std::vector<FieldValue> values_;  // a stack: each message uses what is above its base
  bool ok_ = true;
};

}  // namespace

bool append_otlp_json(std::string& out, ByteView otlp, CutItems* cut) {
  ItemRoom room(otlp.size(), kItemsFree + otlp.size() / kItemBytes);
  Writer writer(out, cut != nullptr ? &room : nullptr);
  writer.message(MessageType::kRequest, otlp, 0);
  if (cut != nullptr) *cut += room.cut;
  return writer.ok();
}

bool append_tempo_json(std::string& out, ByteView otlp, std::string_view key) {
  Writer writer(out, nullptr, key);
  writer.message(MessageType::kRequest, otlp, 0);
  return writer.ok();
}

// The elements of an object stand between a front and a back that are always the same.
bool OtlpJsonList::add(ByteView otlp, CutItems* cut) {
  constexpr std::string_view kFront = R"({"resourceSpans":[)", kBack = "]}";
  const std::size_t from = out_.size();
  const bool good = append_otlp_json(out_, otlp, cut);
  out_.resize(out_.size() - kBack.size());
  if (out_.size() - from == kFront.size()) {  // nothing in it
    out_.resize(from);
    return good;
  }
  out_.replace(from, kFront.size(), first_ ? "" : ",");
  first_ = false;
  return good;
}

}  // namespace tailgate

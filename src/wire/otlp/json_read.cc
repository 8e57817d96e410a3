// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/json_read.h"

#include <fmt/format.h>

#include <bit>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "codec/base64.h"
#include "codec/decimal.h"
#include "codec/hex.h"
#include "codec/json_repair.h"
#include "codec/protobuf.h"
#include "wire/otlp/schema_table.h"

namespace tailgate {
namespace {

namespace json = boost::json;

using otlp::Field;
using otlp::FieldKind;
using otlp::MessageType;

constexpr std::string_view wanted(FieldKind kind) {
  switch (kind) {
    case FieldKind::kMessage:
      return "an object";
    case FieldKind::kText:
      return "a string";
    case FieldKind::kId:
      return "a string of hex digits";
    case FieldKind::kBytes:
      return "a string in base64";
    case FieldKind::kBool:
      return "true or false";
    case FieldKind::kEnum:
      return "an integer";
    case FieldKind::kUint32:
      return "an integer from 0 to 4294967295";
    case FieldKind::kInt64:
      return "a 64-bit integer";
    case FieldKind::kFixed64:
      return "an unsigned 64-bit integer";
    case FieldKind::kFixed32:
      return "an integer from 0 to 4294967295";
    case FieldKind::kDouble:
      return "a number";
  }
  return "";
}

constexpr std::size_t kSchemaNameMax = 64;  // longer than every name of the schema

std::optional<double> real(std::string_view text) {
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  if (text.empty() || (text.front() != '-' && (text.front() < '0' || text.front() > '9'))) return std::nullopt;
  double d = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), d);
  if (end != text.data() + text.size() || ec == std::errc::invalid_argument) return std::nullopt;
  if (ec == std::errc::result_out_of_range) {  // from_chars says nothing of the direction: too small is 0
    const auto e = text.find_first_of("eE");
    const bool tiny = e != std::string_view::npos && text.substr(e + 1).starts_with('-');
    d = tiny ? 0.0 : std::numeric_limits<double>::infinity();
    if (text.front() == '-') d = -d;
  }
  return d;
}

// What the parser calls, event by event. The names and signatures are Boost.JSON's.
class RequestReader {
 public:
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = max_object_size;
  static constexpr std::size_t max_key_size = max_object_size;
  static constexpr std::size_t max_string_size = max_object_size;

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

  bool on_object_begin(json::error_code& ec) {
    if (skipped_ > 0 || (!stack_.empty() && slot() == nullptr)) {
      ++skipped_;
      return true;
    }
    if (stack_.empty()) {
      stack_.push_back({MessageType::kRequest, nullptr, nullptr, 0, 0});
      return true;
    }
    const Field& field = *slot();
    if (field.kind != FieldKind::kMessage || (field.repeated && !in_array())) return wrong("an object", ec);
    if (field.message == MessageType::kAnyValue && ++any_depth_ > kAnyValueDepthMax) return deep(ec);
    tag(field);
    out.push_back('\0');
    stack_.push_back({field.message, nullptr, nullptr, out.size(), 0});
    return true;
  }

  bool on_object_end(std::size_t, json::error_code&) {
    if (skipped_ > 0) {
      --skipped_;
      if (skipped_ == 0) next();
      return true;
    }
    const Frame frame = stack_.back();
    stack_.pop_back();
    if (frame.type == MessageType::kAnyValue) --any_depth_;
    if (stack_.empty()) return true;
    close(frame.start);
    next();
    return true;
  }

  bool on_array_begin(json::error_code& ec) {
    if (skipped_ > 0 || (!stack_.empty() && slot() == nullptr)) {
      ++skipped_;
      return true;
    }
    if (stack_.empty() || !slot()->repeated || in_array()) return wrong("an array", ec);
    stack_.push_back({MessageType::kNone, slot(), slot(), 0, 0});
    return true;
  }

  bool on_array_end(std::size_t, json::error_code&) {
    if (skipped_ > 0) {
      --skipped_;
      if (skipped_ == 0) next();
      return true;
    }
    stack_.pop_back();
    next();
    return true;
  }

  bool on_key_part(json::string_view s, std::size_t, json::error_code&) {
    if (skipped_ == 0 && key_.size() <= kSchemaNameMax) key_.append(s.data(), std::min(s.size(), kSchemaNameMax + 1));
    return true;
  }
  bool on_key(json::string_view s, std::size_t n, json::error_code& ec) {
    if (skipped_ > 0) return true;
    on_key_part(s, n, ec);
    Frame& top = stack_.back();
    top.field = nullptr;
    for (const Field& field : otlp::fields_of(top.type)) {
      if (otlp::is_name_of(field, key_)) top.field = &field;
    }
    if (top.field == nullptr && unknown_field.empty()) {
      if (stack_.size() > 1) unknown_field = path() + '.';
      unknown_field += key_.substr(0, kSchemaNameMax);
    }
    key_.clear();
    return true;
  }

  bool on_string_part(json::string_view s, std::size_t, json::error_code&) {
    if (takes()) text_.append(s.data(), s.size());
    return true;
  }
  bool on_string(json::string_view s, std::size_t, json::error_code& ec) {
    if (!takes()) return ignored("a string", ec);
    std::string_view value(s.data(), s.size());
    if (!text_.empty()) value = text_.append(s.data(), s.size());
    if (!string_value(*slot(), value)) return wrong("a string", ec, value);
    text_.clear();
    next();
    return true;
  }

  bool on_number_part(json::string_view s, json::error_code&) {
    if (takes()) text_.append(s.data(), s.size());
    return true;
  }
  bool on_int64(std::int64_t, json::string_view s, json::error_code& ec) { return on_number(s, ec); }
  bool on_uint64(std::uint64_t, json::string_view s, json::error_code& ec) { return on_number(s, ec); }
  bool on_double(double, json::string_view s, json::error_code& ec) { return on_number(s, ec); }

  bool on_bool(bool value, json::error_code& ec) {
    if (!takes()) return ignored("a bool", ec);
    const Field& field = *slot();
    if (field.kind != FieldKind::kBool) return wrong("a bool", ec);
    number(field, value ? 1 : 0);
    next();
    return true;
  }

  bool on_null(json::error_code& ec) {
    if (!takes()) return ignored("null", ec);
    if (in_array()) {  // the default of an element is an empty one
      tag(*slot());
      out.push_back('\0');
    }
    next();
    return true;
  }

  std::string path() const {
    std::string text;
    for (std::size_t i = 0; i < stack_.size(); ++i) {
      const Frame& frame = stack_[i];
      if (frame.array != nullptr) {
        text += fmt::format("[{}]", frame.index);
      } else if (frame.field != nullptr) {
        if (!text.empty()) text += '.';
        text += frame.field->json_name;
      }
    }
    return text.empty() ? "the document" : text;
  }

  std::string out;
  std::string problem;        // set when an event was refused
  std::string unknown_field;  // the first one, with its place

 private:
  struct Frame {
    MessageType type;     // of the object; kNone for an array
    const Field* array;   // the field this array is the value of
    const Field* field;   // where the next value goes; null: nobody knows it
    std::size_t start;    // of the object's bytes in `out`
    std::uint32_t index;  // of the next element
  };

  const Field* slot() const { return stack_.back().field; }
  // A member of a oneof is written even when it has its default value.
  bool in_oneof() const { return otlp::is_oneof(stack_.back().type); }
  bool in_array() const { return stack_.back().array != nullptr; }
  // The value to come is wanted: it is not inside or the value of something unknown.
  bool takes() const { return skipped_ == 0 && !stack_.empty() && slot() != nullptr; }

  void next() {
    if (!stack_.empty() && in_array()) ++stack_.back().index;
  }

  bool ignored(std::string_view got, json::error_code& ec) { return stack_.empty() ? wrong(got, ec) : true; }

  bool wrong(std::string_view got, json::error_code& ec, std::string_view text = {}) {
    std::string want = stack_.empty() ? "an object" : std::string(wanted(slot()->kind));
    if (!stack_.empty() && slot()->repeated && !in_array()) want = "an array";
    problem = fmt::format("{}: expected {}, got {}", path(), want, got);
    if (!text.empty() && text.size() <= 40) problem += fmt::format(" '{}'", text);
    ec = json::error::exception;
    return false;
  }
  bool deep(json::error_code& ec) {
    problem = fmt::format("{} values inside each other, {} are taken", any_depth_, kAnyValueDepthMax);
    ec = json::error::too_deep;
    return false;
  }

  bool on_number(json::string_view s, json::error_code& ec) {
    if (!takes()) return ignored("a number", ec);
    std::string_view value(s.data(), s.size());
    if (!text_.empty()) value = text_.append(s.data(), s.size());
    const Field& field = *slot();
    const bool textual =
        field.kind == FieldKind::kText || field.kind == FieldKind::kId || field.kind == FieldKind::kBytes;
    if (textual || !numeric_value(field, value)) return wrong("a number", ec, value);
    text_.clear();
    next();
    return true;
  }

  bool string_value(const Field& field, std::string_view s) {
    if (field.repeated && !in_array()) return false;
    switch (field.kind) {
      case FieldKind::kText:
        if (!s.empty() || in_oneof() || field.repeated) bytes(field, s);
        return true;
      case FieldKind::kId: {
        if (s.empty()) return true;
        const std::size_t start = open(field);
        out.resize(start + s.size() / 2);
        if (!read_hex(s, out.data() + start)) return false;
        close(start);
        return true;
      }
      case FieldKind::kBytes: {
        const std::size_t start = open(field);
        if (!read_base64(s, kBase64Protobuf, out)) return false;
        close(start);
        return true;
      }
      case FieldKind::kMessage:
      case FieldKind::kBool:
        return false;
      case FieldKind::kEnum:
        // An enum's name is not taken (OTLP: "only integers"); all 32-bit signed fields of traces are enums.
        return false;
      default:
        return numeric_value(field, s);
    }
  }

  bool numeric_value(const Field& field, std::string_view s) {
    switch (field.kind) {
      case FieldKind::kEnum:
        if (const auto v = read_integer<std::int32_t>(s))
          return number(field, static_cast<std::uint64_t>(static_cast<std::int64_t>(*v)));
        return false;
      case FieldKind::kUint32:
        if (const auto v = read_integer<std::uint32_t>(s)) return number(field, *v);
        return false;
      case FieldKind::kInt64:
        if (const auto v = read_integer<std::int64_t>(s)) return number(field, static_cast<std::uint64_t>(*v));
        return false;
      case FieldKind::kFixed64:
        if (const auto v = read_integer<std::uint64_t>(s)) return fixed<8>(field, *v);
        return false;
      case FieldKind::kFixed32:
        if (const auto v = read_integer<std::uint32_t>(s)) return fixed<4>(field, *v);
        return false;
      case FieldKind::kDouble:
        if (const auto v = real(s)) return fixed<8>(field, std::bit_cast<std::uint64_t>(*v));
        return false;
      default:
        return false;
    }
  }

  void tag(const Field& field) { pb::append_varint(out, pb::tag_of(field.number, otlp::wire_type(field.kind))); }

  bool number(const Field& field, std::uint64_t v) {
    if (v == 0 && !in_oneof()) return true;
    tag(field);
    pb::append_varint(out, v);
    return true;
  }

  template <int N>
  bool fixed(const Field& field, std::uint64_t v) {
    if (v == 0 && !in_oneof()) return true;
    tag(field);
    for (int i = 0; i < N; ++i) out.push_back(static_cast<char>(v >> (8 * i)));
    return true;
  }

  void bytes(const Field& field, std::string_view s) { pb::append_len(out, field.number, s); }

  // A length-delimited field whose length is not known yet: one byte is left for it; close() makes room when it takes
  // more.
  std::size_t open(const Field& field) {
    tag(field);
    out.push_back('\0');
    return out.size();
  }
  void close(std::size_t start) {
    const std::size_t size = out.size() - start;
    const std::size_t more = pb::varint_size(size) - 1;
    if (more != 0) out.insert(start, more, '\0');
    pb::write_varint(out.data() + start - 1, size);
  }

  std::vector<Frame> stack_;
  std::string key_;
  std::string text_;
  std::size_t skipped_ = 0;  // depth inside a value nobody knows
  int any_depth_ = 0;
};

}  // namespace

namespace {

// With `repaired`, `text` is not what came, so that places in it say nothing to anyone.
Result<OtlpFromJson> read_request(ByteView text, bool repaired, bool& bad_json) {
  json::parse_options options;
  options.max_depth = kAnyValueDepthMax * 4 + 32;  // a value in a list of pairs is four levels of JSON
  try {
    json::basic_parser<RequestReader> parser(options);
    RequestReader& reader = parser.handler();
    reader.out.reserve(text.size());  // enough for every document, and touched only as it fills
    json::error_code ec;
    const std::size_t n = parser.write_some(false, text.data(), text.size(), ec);
    if (!reader.problem.empty()) return fail(ErrorKind::kBadInput, std::move(reader.problem));
    if (!ec && n < text.size()) ec = json::error::extra_data;
    bad_json = ec.failed();
    if (ec && repaired) return fail(ErrorKind::kBadInput, fmt::format("{}: {}", reader.path(), ec.message()));
    if (ec) return fail(ErrorKind::kBadInput, fmt::format("at byte {}, {}: {}", n, reader.path(), ec.message()));
    return OtlpFromJson{std::move(reader.out), 0, std::move(reader.unknown_field)};
  } catch (const std::exception& e) {
    return fail(ErrorKind::kBadInput, fmt::format("cannot read the JSON: {}", e.what()));
  }
}

}  // namespace

Result<OtlpFromJson> otlp_json_to_proto(ByteView text, ConversionRoom* room) {
  const auto no_room = [&](std::size_t bytes) { return room != nullptr && !room->grow(bytes); };
  constexpr auto kNoRoom = "no room to convert the request, try again";
  if (no_room(text.size())) return fail(ErrorKind::kRefused, kNoRoom);  // the bytes are never more than the JSON's
  bool bad_json = false;
  Result<OtlpFromJson> out = read_request(text, false, bad_json);
  if (!bad_json) return out;
  const JsonRepair repair = json_repair_of(text);
  if (repair.texts == 0) return out;
  if (no_room(2 * repair.size)) return fail(ErrorKind::kRefused, kNoRoom);
  out = read_request(repaired_json(text, repair.size), true, bad_json);
  if (out) out->repaired_texts = repair.texts;
  return out;
}

}  // namespace tailgate

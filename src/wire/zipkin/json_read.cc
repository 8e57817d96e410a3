// SPDX-License-Identifier: Apache-2.0
// Reads Zipkin's JSON from Boost.JSON's events without a tree, as the OTLP/JSON reader does. A string without escapes
// is a view into the request; others are copied and live until their span is written.
#include <fmt/format.h>

#include <boost/json/basic_parser_impl.hpp>
#include <deque>
#include <limits>
#include <optional>

#include "codec/decimal.h"
#include "codec/hex.h"
#include "codec/json_repair.h"
#include "wire/times.h"
#include "wire/zipkin/zipkin.h"

namespace tailgate {
namespace {

namespace json = boost::json;

constexpr std::size_t kZipkinDepthMax = 32;  // Zipkin's is 5; the rest is for keys nobody knows
constexpr std::size_t kZipkinKeyMax = 64;    // longer than every key of the format

enum class At : std::uint8_t { kDocument, kSpans, kSpan, kEndpoint, kAnnotations, kAnnotation, kTags };

enum class Key : std::uint8_t {
  kNone,
  kTraceId,
  kId,
  kParentId,
  kName,
  kKind,
  kTimestamp,
  kDuration,
  kDebug,
  kShared,
  kLocal,
  kRemote,
  kAnnotations,
  kTags,
  kServiceName,
  kIpv4,
  kIpv6,
  kPort,
  kValue,
  kTag,
};

struct KnownKey {
  At at;
  std::string_view name;
  Key key;
};
constexpr KnownKey kKeys[] = {
    {At::kSpan, "traceId", Key::kTraceId},
    {At::kSpan, "id", Key::kId},
    {At::kSpan, "parentId", Key::kParentId},
    {At::kSpan, "name", Key::kName},
    {At::kSpan, "kind", Key::kKind},
    {At::kSpan, "timestamp", Key::kTimestamp},
    {At::kSpan, "duration", Key::kDuration},
    {At::kSpan, "debug", Key::kDebug},
    {At::kSpan, "shared", Key::kShared},
    {At::kSpan, "localEndpoint", Key::kLocal},
    {At::kSpan, "remoteEndpoint", Key::kRemote},
    {At::kSpan, "annotations", Key::kAnnotations},
    {At::kSpan, "tags", Key::kTags},
    {At::kEndpoint, "serviceName", Key::kServiceName},
    {At::kEndpoint, "ipv4", Key::kIpv4},
    {At::kEndpoint, "ipv6", Key::kIpv6},
    {At::kEndpoint, "port", Key::kPort},
    {At::kAnnotation, "timestamp", Key::kTimestamp},
    {At::kAnnotation, "value", Key::kValue},
};

// A time, a duration or a port: below zero it is none.
std::optional<std::uint64_t> number_of(ByteView text) {
  if (const auto number = read_decimal(text)) return number->negative ? 0 : number->magnitude;
  return std::nullopt;
}

// What the parser calls, event by event. The names and signatures are Boost.JSON's.
class ZipkinJsonReader {
 public:
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = max_object_size;
  static constexpr std::size_t max_key_size = max_object_size;
  static constexpr std::size_t max_string_size = max_object_size;

  ZipkinJsonReader(ByteView request, const ZipkinOptions& options, ByteSink& out)
      : request_(request), out_(out), otlp_(out, options, request.size()) {}

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) {
    otlp_.end();
    return true;
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

  bool on_object_begin(json::error_code& ec) {
    if (skips()) return ++skipped_, true;
    if (at_ == At::kSpans) {
      at_ = At::kSpan;
      span_.clear();
      copies_.clear();
      copied_ = 0;
    } else if (at_ == At::kSpan && (key_ == Key::kLocal || key_ == Key::kRemote)) {
      at_ = At::kEndpoint;
      endpoint_ = key_ == Key::kLocal ? &span_.local : &span_.remote;
    } else if (at_ == At::kSpan && key_ == Key::kTags) {
      at_ = At::kTags;
    } else if (at_ == At::kAnnotations) {
      at_ = At::kAnnotation;
      annotation_ = {};
    } else {
      return wrong("an object", ec);
    }
    key_ = Key::kNone;
    return true;
  }

  bool on_object_end(std::size_t, json::error_code& ec) {
    if (skipped_ > 0) return --skipped_, true;
    key_ = Key::kNone;
    switch (at_) {
      case At::kSpan:
        otlp_.add(span_);
        ++index_;
        at_ = At::kSpans;
        return !out_.failed() || full(ec);
      case At::kAnnotation:
        at_ = At::kAnnotations;
        return out_.push(span_.annotations, annotation_) || full(ec);
      default:
        at_ = At::kSpan;
        return true;
    }
  }

  bool on_array_begin(json::error_code& ec) {
    if (skips()) return ++skipped_, true;
    if (at_ == At::kDocument) {
      at_ = At::kSpans;
    } else if (at_ == At::kSpan && key_ == Key::kAnnotations) {
      at_ = At::kAnnotations;
    } else {
      return wrong("an array", ec);
    }
    return true;
  }

  bool on_array_end(std::size_t, json::error_code&) {
    if (skipped_ > 0) return --skipped_, true;
    if (at_ == At::kAnnotations) at_ = At::kSpan;
    key_ = Key::kNone;
    return true;
  }

  bool on_key_part(json::string_view s, std::size_t, json::error_code& ec) {
    return skipped_ > 0 || (at_ != At::kTags && text_.size() > kZipkinKeyMax) || append(s) || full(ec);
  }
  bool on_key(json::string_view s, std::size_t, json::error_code& ec) {
    if (skipped_ > 0) return true;
    if (at_ == At::kTags) {
      key_ = Key::kTag;
      return keep(s, tag_key_) || full(ec);
    }
    if (!text_.empty() && !append(s)) return full(ec);
    const std::string_view name = text_.empty() ? std::string_view(s.data(), s.size()) : text_;
    key_ = Key::kNone;
    for (const KnownKey& known : kKeys) {
      if (known.at == at_ && known.name == name) key_ = known.key;
    }
    text_.clear();
    return true;
  }

  bool on_string_part(json::string_view s, std::size_t, json::error_code& ec) {
    return !takes() || append(s) || full(ec);
  }
  bool on_string(json::string_view s, std::size_t, json::error_code& ec) {
    if (!takes()) return at_ != At::kDocument || wrong("a string", ec);
    ByteView value;
    if (!keep(s, value)) return full(ec);
    switch (key_) {
      case Key::kTraceId:
        span_.trace_id = read_short_hex(value, span_.trace_id_bytes);
        return true;
      case Key::kId:
        span_.id = read_short_hex(value, span_.id_bytes);
        return true;
      case Key::kParentId:
        span_.parent = read_short_hex(value, span_.parent_bytes);
        if (span_.parent.empty()) span_.parent = value.substr(0, 1);  // no id: left for the scanner to refuse
        return true;
      case Key::kName:
        span_.name = value;
        return true;
      case Key::kKind:
        span_.kind = span_kind_of(value);
        return true;
      case Key::kServiceName:
        endpoint_->service_name = value;
        return true;
      case Key::kIpv4:
        endpoint_->ipv4 = value;
        return true;
      case Key::kIpv6:
        endpoint_->ipv6 = value;
        return true;
      case Key::kValue:
        annotation_.value = value;
        return true;
      case Key::kTag:
        return take_tag(value, ec);
      case Key::kTimestamp:
      case Key::kDuration:
      case Key::kPort:  // Zipkin's own server takes numbers as text too
        if (const auto number = number_of(value)) return take_number(*number), true;
        return wrong("a string", ec);
      default:
        return wrong("a string", ec);
    }
  }

  bool on_number_part(json::string_view s, json::error_code& ec) { return !takes() || append(s) || full(ec); }
  bool on_int64(std::int64_t v, json::string_view s, json::error_code& ec) {
    return number(v < 0 ? 0 : static_cast<std::uint64_t>(v), s, ec);
  }
  bool on_uint64(std::uint64_t v, json::string_view s, json::error_code& ec) { return number(v, s, ec); }
  bool on_double(double v, json::string_view s, json::error_code& ec) {
    const bool fits = v >= 0 && v < 18446744073709549568.0;
    return number(fits ? static_cast<std::uint64_t>(v) : 0, s, ec);
  }

  bool on_bool(bool value, json::error_code& ec) {
    if (!takes()) return at_ != At::kDocument || wrong("a bool", ec);
    if (key_ == Key::kTag) return take_tag(value ? "true" : "false", ec);
    if (key_ == Key::kDebug) {
      span_.debug = value;
    } else if (key_ != Key::kShared) {
      return wrong("a bool", ec);
    }
    return true;
  }

  bool on_null(json::error_code& ec) { return at_ != At::kDocument || wrong("null", ec); }

  std::string place() const {
    if (at_ == At::kDocument) return "the document";
    std::string text = fmt::format("[{}]", index_);
    if (at_ == At::kEndpoint) text += endpoint_ == &span_.local ? ".localEndpoint" : ".remoteEndpoint";
    if (at_ == At::kTags) text += ".tags";
    if (at_ == At::kAnnotation || at_ == At::kAnnotations) {
      text += fmt::format(".annotations[{}]", span_.annotations.size());
    }
    for (const KnownKey& known : kKeys) {
      if (known.at == at_ && known.key == key_) text += fmt::format(".{}", known.name);
    }
    return text;
  }

  std::string problem;  // set when an event was refused

 private:
  // The value to come belongs to a key nobody knows.
  bool skips() const {
    const bool in_object = at_ == At::kSpan || at_ == At::kEndpoint || at_ == At::kAnnotation;
    return skipped_ > 0 || (in_object && key_ == Key::kNone);
  }
  // It is one this reader asks for, or one that must not stand here.
  bool takes() const { return !skips() && at_ != At::kDocument; }

  bool wrong(const char* got, json::error_code& ec) {
    const char* want = "a string";
    if (at_ == At::kDocument || key_ == Key::kAnnotations) want = "an array";
    if (at_ == At::kSpans || at_ == At::kAnnotations || key_ == Key::kLocal || key_ == Key::kRemote ||
        key_ == Key::kTags) {
      want = "an object";
    }
    if (key_ == Key::kTimestamp || key_ == Key::kDuration || key_ == Key::kPort) want = "a number";
    if (key_ == Key::kDebug || key_ == Key::kShared) want = "true or false";
    problem = fmt::format("{}: expected {}, got {}", place(), want, got);
    ec = json::error::exception;
    return false;
  }
  bool full(json::error_code& ec) {
    ec = json::error::exception;
    return false;
  }

  bool ask(std::size_t bytes) {
    copied_ += bytes;
    return copied_ <= ByteSink::kFree || out_.ask(bytes);
  }

  // A part of a string. What it is to take is asked for first.
  bool append(json::string_view part) {
    const std::size_t size = text_.size() + part.size(), room = text_.capacity();
    if (size > room) {
      const std::size_t wanted = std::max(size, 2 * room);
      if (!ask(wanted - (room > std::string().capacity() ? room : 0))) return false;
      text_.reserve(wanted);
    }
    text_.append(part.data(), part.size());
    return true;
  }

  // The whole string, of which `last` is the end, as a view that lives as long as the span.
  bool keep(json::string_view last, ByteView& out) {
    if (text_.empty() && last.data() >= request_.data() && last.data() < request_.data() + request_.size()) {
      out = ByteView(last.data(), last.size());
      return true;
    }
    if (!append(last) || !ask(sizeof(std::string))) return false;
    out = copies_.emplace_back(std::move(text_));
    text_.clear();
    return true;
  }

  bool take_tag(ByteView value, json::error_code& ec) {
    ForeignTag tag;
    tag.key = tag_key_;
    tag.value = {AttributeValue::Kind::kString, 0, value};
    return out_.push(span_.tags, tag) || full(ec);
  }

  bool number(std::uint64_t value, json::string_view s, json::error_code& ec) {
    if (!takes()) return at_ != At::kDocument || wrong("a number", ec);
    ByteView text;
    if (key_ == Key::kTag) return (keep(s, text) && take_tag(text, ec)) || full(ec);
    text_.clear();
    return take_number(value) || wrong("a number", ec);
  }

  // False: the key wants something else.
  bool take_number(std::uint64_t value) {
    if (key_ == Key::kTimestamp && at_ == At::kAnnotation) {
      annotation_.time_ns = us_to_ns(value);
    } else if (key_ == Key::kTimestamp) {
      span_.timestamp_us = value;
    } else if (key_ == Key::kDuration) {
      span_.duration_us = value;
    } else if (key_ == Key::kPort) {
      endpoint_->port = static_cast<std::int64_t>(value & INT32_MAX);
    } else {
      return false;
    }
    return true;
  }

  const ByteView request_;
  ByteSink& out_;
  ZipkinToOtlp otlp_;
  At at_ = At::kDocument;
  Key key_ = Key::kNone;
  std::size_t skipped_ = 0;  // depth inside a value nobody knows
  std::size_t index_ = 0;    // of the span
  ZipkinSpan span_;
  ZipkinEndpoint* endpoint_ = nullptr;
  ZipkinAnnotation annotation_;
  ByteView tag_key_;
  std::string text_;                // the parts of a string that came before
  std::deque<std::string> copies_;  // of this span's strings
  std::size_t copied_ = 0;
};

}  // namespace

namespace {

Result<void> read_spans(ByteView text, bool repaired, const ZipkinOptions& zipkin, ByteSink& out, bool& bad_json) {
  json::parse_options options;
  options.max_depth = kZipkinDepthMax;
  try {
    json::basic_parser<ZipkinJsonReader> parser(options, text, zipkin, out);
    ZipkinJsonReader& reader = parser.handler();
    json::error_code ec;
    const std::size_t n = parser.write_some(false, text.data(), text.size(), ec);
    if (out.failed()) return fail(ErrorKind::kRefused, "no room to convert the request");
    if (!reader.problem.empty()) return fail(ErrorKind::kBadInput, std::move(reader.problem));
    if (!ec && n < text.size()) ec = json::error::extra_data;
    bad_json = ec.failed();
    if (ec && repaired) return fail(ErrorKind::kBadInput, fmt::format("{}: {}", reader.place(), ec.message()));
    if (ec) return fail(ErrorKind::kBadInput, fmt::format("at byte {}, {}: {}", n, reader.place(), ec.message()));
    return {};
  } catch (const std::exception& e) {
    return fail(ErrorKind::kBadInput, fmt::format("cannot read the JSON: {}", e.what()));
  }
}

}  // namespace

Result<void> zipkin_json_to_otlp(ByteView text, const ZipkinOptions& zipkin, ByteSink& out) {
  const std::size_t before = out.size();
  bool bad_json = false;
  Result<void> read = read_spans(text, false, zipkin, out, bad_json);
  if (!bad_json) return read;
  const JsonRepair repair = json_repair_of(text);
  if (repair.texts == 0) return read;
  out.truncate(before);
  if (!out.ask(repair.size)) return fail(ErrorKind::kRefused, "no room to convert the request");
  read = read_spans(repaired_json(text, repair.size), true, zipkin, out, bad_json);
  if (read) out.count_repaired(repair.texts);
  return read;
}

}  // namespace tailgate

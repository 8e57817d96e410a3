// SPDX-License-Identifier: Apache-2.0
// The slow twin of the conversions from Jaeger and Zipkin: the mapping tables of docs/receivers.md written over parsed
// messages and maps, and a way to hold two OTLP requests against each other span by span.
#pragma once

#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "codec/byte_sink.h"
#include "jaeger_twin.pb.h"
#include "otlp_twin.pb.h"
#include "support/twin_text.h"
#include "zipkin_twin.pb.h"

namespace tailgate::test {

using AttributeMap = std::map<std::string, twin::AnyValue>;

inline std::string take_text(AttributeMap& from, const std::string& key) {
  const std::string text = from.at(key).string_value();
  from.erase(key);
  return text;
}
inline bool has_text(const AttributeMap& in, const std::string& key) {
  return in.contains(key) && in.at(key).has_string_value();
}
inline std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}
inline int kind_number(const std::string& word) {
  const std::map<std::string, int> kinds = {
      {"internal", 1}, {"server", 2}, {"client", 3}, {"producer", 4}, {"consumer", 5}};
  return kinds.contains(lower(word)) ? kinds.at(lower(word)) : 0;
}

template <class List>
void write_attributes(const AttributeMap& from, List* to) {
  for (const auto& [key, value] : from) {
    auto* kv = to->Add();
    kv->set_key(key);
    *kv->mutable_value() = value;
  }
}

// One span with what it shares with others; the form in which requests are compared.
struct FlatSpan {
  AttributeMap resource;
  std::string scope_name, scope_version;
  twin::Span span;  // attributes and those of its events in order of their keys

  std::string text() const {
    std::string out = "scope '" + scope_name + "' '" + scope_version + "'\n";
    for (const auto& [key, value] : resource) out += "resource " + key + ": " + value.ShortDebugString() + "\n";
    return out + span.DebugString();
  }
};

inline std::vector<std::string> sorted_texts(std::vector<FlatSpan> spans) {
  std::vector<std::string> out;
  for (const FlatSpan& span : spans) out.push_back(span.text());
  std::sort(out.begin(), out.end());
  return out;
}

template <class List>
AttributeMap to_map(const List& list) {
  AttributeMap out;
  for (const auto& kv : list) {
    if (!out.emplace(kv.key(), kv.value()).second) out["(repeated) " + kv.key()];  // an attribute may come only once
  }
  return out;
}

inline twin::TracesData parsed(const ByteSink& out) {
  twin::TracesData data;
  REQUIRE(data.ParseFromArray(out.view().data(), static_cast<int>(out.size())));
  return data;
}

inline std::vector<FlatSpan> flatten(const twin::TracesData& data) {
  std::vector<FlatSpan> out;
  for (const auto& r : data.resource_spans()) {
    for (const auto& s : r.scope_spans()) {
      for (const auto& span : s.spans()) {
        FlatSpan flat{to_map(r.resource().attributes()), s.scope().name(), s.scope().version(), span};
        flat.span.clear_attributes();
        write_attributes(to_map(span.attributes()), flat.span.mutable_attributes());
        for (auto& event : *flat.span.mutable_events()) {
          const AttributeMap attributes = to_map(event.attributes());
          event.clear_attributes();
          write_attributes(attributes, event.mutable_attributes());
        }
        out.push_back(flat);
      }
    }
  }
  return out;
}

inline void take_scope_twin(AttributeMap& tags, FlatSpan& out) {
  for (const std::string prefix : {"otel.scope.", "otel.library."}) {
    if (!has_text(tags, prefix + "name")) continue;
    out.scope_name = take_text(tags, prefix + "name");
    if (has_text(tags, prefix + "version")) out.scope_version = take_text(tags, prefix + "version");
    if (prefix == "otel.scope." && has_text(tags, "otel.library.name") &&
        tags.at("otel.library.name").string_value() == out.scope_name) {
      tags.erase("otel.library.name");
      if (tags.contains("otel.library.version") &&
          (has_text(tags, "otel.library.version") ? tags.at("otel.library.version").string_value() : "") ==
              out.scope_version) {
        tags.erase("otel.library.version");
      }
    }
    return;
  }
}

// --- Jaeger

inline AttributeMap jaeger_attributes(const google::protobuf::RepeatedPtrField<twin::jaeger::KeyValue>& tags) {
  AttributeMap out;
  for (const auto& tag : tags) {
    twin::AnyValue v;
    if (tag.v_type() == 0) v.set_string_value(tag.v_str());
    if (tag.v_type() == 1) v.set_bool_value(tag.v_bool());
    if (tag.v_type() == 2) v.set_int_value(tag.v_int64());
    if (tag.v_type() == 3) v.set_double_value(tag.v_float64());
    if (tag.v_type() == 4) v.set_bytes_value(tag.v_binary());
    out[tag.key()] = v;
  }
  return out;
}

inline AttributeMap jaeger_resource(const twin::jaeger::Process& process) {
  AttributeMap out = jaeger_attributes(process.tags());
  if (!process.service_name().empty() && process.service_name() != "OTLPResourceNoServiceName") {
    out.emplace("service.name", text_value(process.service_name()));
  }
  if (out.contains("hostname") && !out.contains("host.name")) {
    out["host.name"] = out["hostname"];
    out.erase("hostname");
  }
  if (out.contains("jaeger.version") && !out.contains("opencensus.exporterversion")) {
    out["opencensus.exporterversion"] = text_value("Jaeger-" + out["jaeger.version"].string_value());
    out.erase("jaeger.version");
  }
  return out;
}

inline void jaeger_status(AttributeMap& tags, twin::Span& out) {
  const auto text = [&](const std::string& key) { return has_text(tags, key) ? tags.at(key).string_value() : ""; };
  const auto description = [&] {
    const std::string message = text("otel.status_description");
    tags.erase("otel.status_description");
    return message;
  };
  int code = 0;
  std::string message;
  const bool failed = tags.contains("error") && (tags["error"].bool_value() || lower(text("error")) == "true");
  if (failed) {
    code = 2;
    message = tags.contains("otel.status_description") ? description() : text("http.status_message");
    tags.erase("error");
    tags.erase("otel.status_code");
  } else if (tags.contains("otel.status_code")) {
    const std::string word = lower(text("otel.status_code"));
    code = word == "ok" ? 1 : word == "error" ? 2 : 0;
    if (tags.contains("otel.status_description")) message = description();
    tags.erase("otel.status_code");
  } else if (tags.contains("http.status_code") || tags.contains("http.response.status_code")) {
    const std::string key = tags.contains("http.status_code") ? "http.status_code" : "http.response.status_code";
    std::optional<long long> number;
    if (tags[key].has_int_value()) number = tags[key].int_value();
    const std::string digits = text(key);
    if (!digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos) number = std::stoll(digits);
    if (number && (*number < 100 || *number >= 500 || (*number >= 400 && out.kind() != 2))) {
      code = 2;
      message = text("http.status_message");
    }
  }
  if (code != 0) out.mutable_status()->set_code(code);
  if (!message.empty()) out.mutable_status()->set_message(message);
}

inline std::string be8(std::uint64_t v) {
  std::string out;
  for (int i = 7; i >= 0; --i) out.push_back(static_cast<char>(v >> (8 * i)));
  return out;
}

inline std::uint64_t twin_ns(const twin::jaeger::Seconds& t) {
  const long double ns = static_cast<long double>(t.seconds()) * 1e9L + t.nanos();
  return ns < 0 ? 0 : static_cast<std::uint64_t>(ns);
}

// `parents[i]`: Thrift's parentSpanId of span i, 0 for none.
inline std::vector<FlatSpan> expected_of(const twin::jaeger::Batch& batch, const std::vector<std::uint64_t>& parents) {
  const auto padded = [](const std::string& id) { return id.size() == 8 ? std::string(8, '\0') + id : id; };
  std::vector<FlatSpan> out;
  for (int i = 0; i < batch.spans_size(); ++i) {
    const auto& in = batch.spans(i);
    FlatSpan flat;
    flat.resource = jaeger_resource(in.has_process() ? in.process() : batch.process());
    twin::Span& span = flat.span;
    span.set_trace_id(padded(in.trace_id()));
    span.set_span_id(in.span_id());
    span.set_name(in.operation_name());
    span.set_start_time_unix_nano(twin_ns(in.start_time()));
    span.set_end_time_unix_nano(twin_ns(in.start_time()) + twin_ns(in.duration()));

    std::string parent;
    if (static_cast<std::size_t>(i) < parents.size() && parents[static_cast<std::size_t>(i)] != 0) {
      parent = be8(parents[static_cast<std::size_t>(i)]);
    }
    for (const int type : {0, 1}) {
      for (const auto& ref : in.references()) {
        const bool fits = ref.ref_type() == type && padded(ref.trace_id()) == span.trace_id();
        if (fits && parent.empty() && ref.span_id() != std::string(8, '\0')) parent = ref.span_id();
      }
    }
    span.set_parent_span_id(parent);

    AttributeMap tags = jaeger_attributes(in.tags());
    take_scope_twin(tags, flat);
    if (has_text(tags, "span.kind") && kind_number(tags["span.kind"].string_value()) != 0) {
      span.set_kind(kind_number(take_text(tags, "span.kind")));
    }
    if (has_text(tags, "w3c.tracestate")) span.set_trace_state(take_text(tags, "w3c.tracestate"));
    jaeger_status(tags, span);
    write_attributes(tags, span.mutable_attributes());

    for (const auto& log : in.logs()) {
      auto* event = span.add_events();
      event->set_time_unix_nano(twin_ns(log.timestamp()));
      AttributeMap fields = jaeger_attributes(log.fields());
      if (has_text(fields, "event")) event->set_name(take_text(fields, "event"));
      write_attributes(fields, event->mutable_attributes());
    }
    for (const auto& ref : in.references()) {
      const std::string trace = padded(ref.trace_id());
      if (ref.ref_type() == 0 && ref.span_id() == parent && trace == span.trace_id()) continue;
      if (ref.span_id() == std::string(8, '\0') || trace == std::string(16, '\0')) continue;
      auto* link = span.add_links();
      link->set_trace_id(trace);
      link->set_span_id(ref.span_id());
      AttributeMap type = {{"opentracing.ref_type", text_value(ref.ref_type() == 0 ? "child_of" : "follows_from")}};
      write_attributes(type, link->mutable_attributes());
    }
    span.set_flags(in.flags() & 1);
    span.set_keep_mark((in.flags() & 2) != 0);
    out.push_back(flat);
  }
  return out;
}

// --- Zipkin

inline std::string dotted(const std::string& ipv4) {
  std::string out;
  for (const char c : ipv4) out += (out.empty() ? "" : ".") + std::to_string(static_cast<std::uint8_t>(c));
  return out;
}

// Addresses of the generator are IPv4 or "::1".
inline std::string address_text(const twin::zipkin::Endpoint& e) {
  if (!e.ipv4().empty()) return dotted(e.ipv4());
  return e.ipv6().empty() ? "" : "::1";
}

inline std::vector<FlatSpan> expected_of(const twin::zipkin::ListOfSpans& list) {
  std::vector<FlatSpan> out;
  for (const auto& in : list.spans()) {
    FlatSpan flat;
    twin::Span& span = flat.span;
    if (!in.local_endpoint().service_name().empty()) {
      flat.resource["service.name"] = text_value(in.local_endpoint().service_name());
    }
    span.set_trace_id(in.trace_id().size() == 8 ? std::string(8, '\0') + in.trace_id() : in.trace_id());
    span.set_span_id(in.id());
    if (in.parent_id() != in.id()) span.set_parent_span_id(in.parent_id());
    span.set_name(in.name());
    constexpr int kKinds[] = {0, 3, 2, 4, 5};
    span.set_kind(kKinds[in.kind()]);
    span.set_start_time_unix_nano(in.timestamp() * 1000);
    span.set_end_time_unix_nano((in.timestamp() + in.duration()) * 1000);

    AttributeMap tags;
    for (const auto& tag : in.tags()) tags[tag.key()] = text_value(tag.value());
    const bool by_sdk = tags.contains("otel.scope.name") || tags.contains("otel.library.name");
    take_scope_twin(tags, flat);
    if (tags.contains("w3c.tracestate")) span.set_trace_state(take_text(tags, "w3c.tracestate"));
    if (span.kind() == 0 && tags.contains("span.kind") && kind_number(tags["span.kind"].string_value()) != 0) {
      span.set_kind(kind_number(take_text(tags, "span.kind")));
    }
    int code = 0;
    std::string message;
    if (tags.contains("otel.status_code")) {
      std::string word = take_text(tags, "otel.status_code");
      if (word.starts_with("STATUS_CODE_")) word.erase(0, 12);
      code = lower(word) == "ok" ? 1 : lower(word) == "error" ? 2 : 0;
      if (tags.contains("otel.status_description")) message = take_text(tags, "otel.status_description");
    }
    if (tags.contains("error") && lower(tags["error"].string_value()) != "false") {
      code = 2;
      if (lower(tags["error"].string_value()) == "true") {
        tags.erase("error");
      } else if (message.empty()) {
        message = tags["error"].string_value();
      }
    }
    if (code != 0) span.mutable_status()->set_code(code);
    if (!message.empty()) span.mutable_status()->set_message(message);

    const auto number = [](std::int64_t n) {
      twin::AnyValue v;
      v.set_int_value(n);
      return v;
    };
    struct Names {
      std::string ip, old_ip, port;
    };
    for (const auto& [endpoint, names] :
         {std::pair{in.local_endpoint(), Names{"network.local.address", "net.host.ip", "net.host.port"}},
          {in.remote_endpoint(), Names{"network.peer.address", "net.peer.ip", "net.peer.port"}}}) {
      for (const std::string& key : {names.ip, names.old_ip}) {
        if (!address_text(endpoint).empty()) tags.emplace(key, text_value(address_text(endpoint)));
      }
      if (endpoint.port() > 0) tags.emplace(names.port, number(endpoint.port()));
    }
    for (const char* key : {"service.peer.name", "peer.service"}) {
      const std::string& name = in.remote_endpoint().service_name();
      if (!name.empty()) tags.emplace(key, text_value(name));
    }
    if (tags.contains("http.status_code")) tags.emplace("http.response.status_code", tags.at("http.status_code"));
    if (in.timestamp() == 0) tags["otel.zipkin.absentField.startTime"].set_bool_value(true);
    write_attributes(tags, span.mutable_attributes());
    for (const auto& annotation : in.annotations()) {
      auto* event = span.add_events();
      event->set_time_unix_nano(annotation.timestamp() * 1000);
      event->set_name(annotation.value());
    }
    if (in.debug()) {
      span.set_flags(1);
      if (!by_sdk) span.set_keep_mark(1);
    }
    out.push_back(flat);
  }
  return out;
}

}  // namespace tailgate::test

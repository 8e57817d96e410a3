// SPDX-License-Identifier: Apache-2.0
// Generated OTLP requests that use what protobuf allows: odd orders, repeated scalars, unknown fields and groups,
// merged sub-messages. One seeded generator; the same seed gives the same bytes on every machine.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/hash.h"
#include "codec/protobuf.h"

namespace tailgate::test {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 2654435769u + 1) {}
  std::uint64_t next() { return next_random(state_); }
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

class RandomOtlp {
 public:
  explicit RandomOtlp(std::uint64_t seed) : r_(seed) {}

  std::string request() {
    std::string out;
    for (std::uint64_t n = r_.below(4); n != 0; --n) {
      maybe_unknown(out);
      pb::append_len(out, 1, resource_spans());
    }
    maybe_unknown(out);
    return out;
  }

 private:
  std::string resource_spans() {
    std::string out;
    for (std::uint64_t n = r_.below(6); n != 0; --n) {
      switch (r_.below(8)) {
        case 0:
        case 1:
          pb::append_len(out, 1, resource());
          break;
        case 2:
          pb::append_len(out, 3, "https://schema/resource");
          break;
        case 3:
          maybe_unknown(out);
          break;
        default:
          pb::append_len(out, 2, scope_spans());
      }
    }
    return out;
  }

  std::string resource() {
    std::string out;
    for (std::uint64_t n = r_.below(4); n != 0; --n) pb::append_len(out, 1, key_value());
    maybe_unknown(out);
    return out;
  }

  std::string scope_spans() {
    std::string out;
    for (std::uint64_t n = r_.below(7); n != 0; --n) {
      switch (r_.below(8)) {
        case 0:
          pb::append_len(out, 1, std::string("\x0a\x03lib", 5));
          break;
        case 1:
          pb::append_len(out, 3, "https://schema/scope");
          break;
        case 2:
          maybe_unknown(out);
          break;
        default:
          pb::append_len(out, 2, span());
      }
    }
    return out;
  }

  std::string id(std::size_t size) {
    std::string text(size, '\0');
    text[size - 1] = static_cast<char>(1 + r_.below(5));
    return text;
  }

  std::string span() {
    std::string out;
    if (!r_.one_in(8)) {  // as SDKs write it
      pb::append_len(out, 1, id(16));
      pb::append_len(out, 2, id(8));
      if (r_.one_in(4)) pb::append_len(out, 3, "ot=th:8");
      if (!r_.one_in(3)) pb::append_len(out, 4, r_.one_in(6) ? std::string(8, '\0') : id(8));
      pb::append_len(out, 5, "name");
      out += "\x30\x02";
      fixed64(out, 7);
      fixed64(out, 8);
      for (std::uint64_t n = r_.below(5); n != 0; --n) pb::append_len(out, 9, key_value());
    }
    for (std::uint64_t n = r_.below(4); n != 0; --n) odd_field(out);
    return out;
  }

  void odd_field(std::string& out) {
    switch (r_.below(14)) {
      case 0:
        pb::append_len(out, 1, id(r_.one_in(3) ? 8 : 16));
        break;
      case 1:
        pb::append_len(out, 2, id(8));
        break;
      case 2:
        pb::append_len(out, 4, id(r_.one_in(5) ? 3 : 8));
        break;
      case 3:
        fixed64(out, 7);
        break;
      case 4:
        fixed64(out, 8);
        break;
      case 5:
        pb::append_len(out, 9, key_value());
        break;
      case 6: {
        std::string status;
        if (r_.one_in(2)) pb::append_len(status, 2, "boom");
        if (r_.one_in(2)) {
          status += "\x18";
          pb::append_varint(status, r_.below(4));
        }
        pb::append_len(out, 15, status);
        break;
      }
      case 7:
        pb::append_varint(out, pb::tag_of(16, pb::kFixed32));
        out.append("\x01\x00\x00\x00", 4);
        break;
      case 8:  // kind with a long varint
        pb::append_varint(out, pb::tag_of(6, pb::kVarint));
        pb::append_varint(out, r_.next());
        break;
      case 9:  // a known number with another wire type
        pb::append_varint(out, pb::tag_of(1, pb::kVarint));
        pb::append_varint(out, r_.next());
        break;
      case 10:
        pb::append_len(out, 11,
                       std::string("\x12\x01"
                                   "e",
                                   3));
        break;
      default:
        maybe_unknown(out);
    }
  }

  std::string key_value() {
    static constexpr std::string_view kKeys[] = {"http.route", "db", "service.name", "x", ""};
    static constexpr std::string_view kValues[] = {"/a", "/b", "redis", ""};
    std::string any;
    for (std::uint64_t n = r_.one_in(5) ? r_.below(3) : 1; n != 0; --n) {
      switch (r_.below(5)) {
        case 0:
          any += "\x10\x01";  // bool
          break;
        case 1:
          any += "\x18\x2a";  // int
          break;
        default:
          pb::append_len(any, 1, kValues[r_.below(4)]);
      }
    }
    std::string out;
    const std::string_view key = kKeys[r_.below(5)];
    if (r_.one_in(8)) pb::append_len(out, 2, any);
    pb::append_len(out, 1, key);
    if (r_.one_in(8)) pb::append_len(out, 1, kKeys[r_.below(5)]);
    if (!r_.one_in(8)) pb::append_len(out, 2, any);
    if (r_.one_in(10)) maybe_unknown(out);
    return out;
  }

  void fixed64(std::string& out, std::uint32_t field) {
    pb::append_varint(out, pb::tag_of(field, pb::kFixed64));
    const std::uint64_t value = r_.one_in(4) ? r_.next() : 1'700'000'000'000'000'000ULL + r_.below(1000);
    for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
  }

  void maybe_unknown(std::string& out) {
    if (!r_.one_in(3)) return;
    const auto field = static_cast<std::uint32_t>(100 + r_.below(1000));
    switch (r_.below(4)) {
      case 0:
        pb::append_varint(out, pb::tag_of(field, pb::kVarint));
        pb::append_varint(out, r_.next());
        break;
      case 1:
        pb::append_len(out, field, "unknown");
        break;
      case 2:
        pb::append_varint(out, pb::tag_of(field, pb::kFixed32));
        out += "abcd";
        break;
      default:
        pb::append_varint(out, pb::tag_of(field, pb::kGroup));
        pb::append_len(out, 1, "in a group");
        pb::append_varint(out, pb::tag_of(field, pb::kEndGroup));
    }
  }

  Random r_;
};

}  // namespace tailgate::test

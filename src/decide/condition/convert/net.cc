// SPDX-License-Identifier: Apache-2.0
// URL and IsInCIDR.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "decide/condition/convert/converters.h"

#include "codec/decimal.h"
#include "codec/percent.h"

namespace tailgate::condition {
namespace {

// --- addresses

// 16 bytes; IPv4 as ::ffff:a.b.c.d.
struct Address {
  unsigned char bytes[16] = {};
  bool v4 = false;
};

bool parse_address(std::string_view text, Address& out) {
  char copy[INET6_ADDRSTRLEN] = {};
  if (text.empty() || text.size() >= sizeof copy || text.find('\0') != std::string_view::npos) return false;
  std::memcpy(copy, text.data(), text.size());
  out.v4 = inet_pton(AF_INET, copy, out.bytes + 12) == 1;
  if (out.v4) {
    std::memset(out.bytes, 0, 10);
    out.bytes[10] = out.bytes[11] = 0xff;
    return true;
  }
  if (inet_pton(AF_INET6, copy, out.bytes) != 1) return false;
  static constexpr unsigned char kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  out.v4 = std::memcmp(out.bytes, kMapped, sizeof kMapped) == 0;
  return true;
}

struct Network {
  Address address;
  int bits = 0;  // of the 128

  // An IPv4 network holds IPv4 addresses alone, and the other way round, as with Go's net.IPNet.
  bool holds(const Address& a) const {
    if (a.v4 != address.v4) return false;
    const auto whole = static_cast<std::size_t>(bits / 8);
    if (std::memcmp(a.bytes, address.bytes, whole) != 0) return false;
    const int rest = bits % 8;
    return rest == 0 || ((a.bytes[whole] ^ address.bytes[whole]) >> (8 - rest)) == 0;
  }
};

bool parse_network(std::string_view text, Network& out) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || !parse_address(text.substr(0, slash), out.address)) return false;
  const std::string_view digits = text.substr(slash + 1);
  if (digits.empty() || digits.size() > 3 || digits.find_first_not_of("0123456789") != std::string_view::npos)
    return false;
  const auto bits = static_cast<int>(*parse_int(digits));
  const bool written_as_v4 = text.find(':') == std::string_view::npos;
  if (bits > (written_as_v4 ? 32 : 128)) return false;
  out.bits = written_as_v4 ? 96 + bits : bits;
  return true;
}

class Networks final : public Prepared {
 public:
  std::vector<Network> all;
};

tl::expected<std::unique_ptr<const Prepared>, PrepareError> prepare_networks(std::span<const Value* const> constants) {
  if (constants[1] == nullptr) return nullptr;
  auto networks = std::make_unique<Networks>();
  Value item;
  for (ListReader reader(*constants[1]); reader.next(item);) {
    if (!parse_network(item.text, networks->all.emplace_back())) {
      return tl::unexpected(PrepareError{
          1, fmt::format("expected networks such as \"10.0.0.0/8\" or \"fd00::/8\", got '{}'", item.text)});
    }
  }
  return networks;
}

bool is_in_cidr(Evaluation& e, const Arguments& a, Value& out) {
  Address address;
  out = Value::of_bool(false);
  if (!parse_address(a[0].text, address)) return true;
  if (a.prepared != nullptr) {
    const std::vector<Network>& all = static_cast<const Networks*>(a.prepared)->all;
    out = Value::of_bool(std::any_of(all.begin(), all.end(), [&](const Network& n) { return n.holds(address); }));
    return true;
  }
  Value item;
  for (ListReader reader(a[1]); reader.next(item);) {
    Network network;
    if (!parse_network(item.text, network)) return e.fail("expected networks such as 10.0.0.0/8");
    if (network.holds(address)) {
      out = Value::of_bool(true);
      return true;
    }
  }
  return true;
}

// --- URL: the keys of the semantic conventions, by the rules of Go's net/url

bool is_alpha(char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }

// Resolves %XX. False: a percent sign without two digits.
bool unescape(std::string_view text, std::string& out) {
  std::optional<std::string> decoded = percent_decoded(text);
  if (decoded) out = std::move(*decoded);
  return decoded.has_value();
}

struct Url {
  std::string scheme, path, fragment, username, password, host;
  std::string_view port, query, user_info, fragment_raw;
  bool has_user = false, has_password = false;
};

const char* split_authority(std::string_view authority, Url& url) {
  const std::size_t at = authority.rfind('@');
  if (at != std::string_view::npos) {
    url.has_user = true;
    url.user_info = authority.substr(0, at);
    authority.remove_prefix(at + 1);
    const std::size_t colon = url.user_info.find(':');
    url.has_password = colon != std::string_view::npos;
    if (!unescape(url.user_info.substr(0, colon), url.username)) return "the URL has a bad escape";
    if (url.has_password && !unescape(url.user_info.substr(colon + 1), url.password)) return "the URL has a bad escape";
  }
  std::string_view host = authority, after;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return "the URL has a '[' without ']'";
    host = authority.substr(1, close - 1);
    after = authority.substr(close + 1);
  } else if (const std::size_t colon = authority.rfind(':'); colon != std::string_view::npos) {
    host = authority.substr(0, colon);
    after = authority.substr(colon);
    if (host.find(':') != std::string_view::npos) return "the URL has a bad port";
  }
  if (!after.empty()) {
    url.port = after.substr(1);
    if (after[0] != ':' || !std::all_of(url.port.begin(), url.port.end(), is_digit)) return "the URL has a bad port";
  }
  if (host.find_first_of(" <>\"") != std::string_view::npos || !unescape(host, url.host))
    return "the URL has a bad host";
  return nullptr;
}

// Null, or what is wrong with it.
const char* parse_url(std::string_view text, Url& url) {
  for (const char c : text) {
    if (static_cast<std::uint8_t>(c) < 0x20 || c == 0x7f) return "the URL has a control character";
  }
  if (const std::size_t hash = text.find('#'); hash != std::string_view::npos) {
    url.fragment_raw = text.substr(hash + 1);
    if (!unescape(url.fragment_raw, url.fragment)) return "the URL has a bad escape";
    text = text.substr(0, hash);
  }
  std::size_t i = 0;
  while (i < text.size() &&
         (is_alpha(text[i]) || (i > 0 && (is_digit(text[i]) || text[i] == '+' || text[i] == '-' || text[i] == '.'))))
    ++i;
  if (i < text.size() && text[i] == ':') {
    if (i == 0) return "the URL has no scheme before ':'";
    for (const char c : text.substr(0, i)) url.scheme += static_cast<char>(is_alpha(c) ? c | 0x20 : c);
    text.remove_prefix(i + 1);
  }
  if (const std::size_t mark = text.find('?'); mark != std::string_view::npos) {
    url.query = text.substr(mark + 1);
    text = text.substr(0, mark);
  }
  if (!text.starts_with('/')) {
    if (!url.scheme.empty()) return nullptr;  // mailto:someone: an opaque rest, no path
    const std::size_t colon = text.find(':');
    if (colon != std::string_view::npos && colon < text.find('/')) return "the first part of the URL's path has a ':'";
  }
  if (text.starts_with("//") && (!url.scheme.empty() || !text.starts_with("///"))) {
    const std::size_t slash = text.find('/', 2);
    const std::string_view authority = text.substr(2, slash == std::string_view::npos ? slash : slash - 2);
    text = slash == std::string_view::npos ? std::string_view() : text.substr(slash);
    if (const char* const bad = split_authority(authority, url)) return bad;
  }
  return unescape(text, url.path) ? nullptr : "the URL has a bad escape";
}

// "?a=1&a=2&b": {query: {a: [1, 2], b: [""]}}
bool query_map(Evaluation& e, std::string_view query, Value& out) {
  std::vector<std::pair<std::string, std::vector<std::string>>> parameters;
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    if (pair.empty()) continue;
    if (pair.find(';') != std::string_view::npos) return e.fail("the query has a ';'");
    const std::size_t equals = pair.find('=');
    std::string parts[2] = {std::string(pair.substr(0, equals)),
                            equals == std::string_view::npos ? std::string() : std::string(pair.substr(equals + 1))};
    std::string key, value;
    for (std::string& part : parts) std::replace(part.begin(), part.end(), '+', ' ');
    if (!unescape(parts[0], key) || !unescape(parts[1], value)) return e.fail("the query has a bad escape");
    auto it = std::find_if(parameters.begin(), parameters.end(), [&](const auto& p) { return p.first == key; });
    if (it == parameters.end()) it = parameters.insert(it, {key, {}});
    it->second.push_back(value);
  }
  MapEntry* const outer = e.arena.entries(1);
  MapEntry* const entries = e.arena.entries(parameters.size());
  if (outer == nullptr || entries == nullptr) return e.fail("the map takes more than 16 MiB");
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    Value key;
    Value* const items = e.arena.values(parameters[i].second.size());
    if (items == nullptr || !e.own(parameters[i].first, key)) return e.fail("the map takes more than 16 MiB");
    for (std::size_t k = 0; k < parameters[i].second.size(); ++k) {
      if (!e.own(parameters[i].second[k], items[k])) return false;
    }
    entries[i] = {key.text, Value::of_list(items, parameters[i].second.size())};
  }
  outer[0] = {"query", Value::of_map(entries, parameters.size())};
  out = Value::of_map(outer, parameters.empty() ? 0 : 1);
  return true;
}

bool url_parts(Evaluation& e, const Arguments& a, Value& out) {
  const std::string_view text = a[0].text;
  if (text.empty()) return e.fail("expected a URL that is not empty");
  if (text[0] == '?') return query_map(e, text.substr(1), out);
  Url url;
  if (const char* const bad = parse_url(text, url)) return e.fail(bad);
  constexpr std::size_t kPartsMax = 11;
  MapEntry* const entries = e.arena.entries(kPartsMax);
  if (entries == nullptr) return e.fail("the map takes more than 16 MiB");
  std::size_t n = 0;
  bool fits = true;
  const auto add = [&](std::string_view key, std::string_view value) {
    entries[n].key = key;
    fits = fits && e.own(value, entries[n].value);
    ++n;
  };
  // The Collector writes url.original again, which changes only the scheme's case where the text was in order.
  add("url.original",
      url.scheme.empty() ? std::string(text) : url.scheme + std::string(text.substr(url.scheme.size())));
  add("url.domain", url.host);
  add("url.scheme", url.scheme);
  add("url.path", url.path);
  if (!url.port.empty()) {
    const std::optional<std::int64_t> port = parse_int(url.port);
    if (!port) return e.fail("the URL has a bad port");
    entries[n].key = "url.port";
    entries[n++].value = Value::of_int(*port);
  }
  if (!url.fragment.empty()) add("url.fragment", url.fragment);
  if (url.has_user) {
    add("url.user_info", url.user_info);
    if (!url.username.empty()) add("url.username", url.username);
    if (url.has_password) add("url.password", url.password);
  }
  if (!url.query.empty()) add("url.query", url.query);
  const std::size_t dot = url.path.rfind('.');
  if (dot != std::string::npos && dot + 1 < url.path.size()) add("url.extension", url.path.substr(dot + 1));
  if (!fits) return false;
  out = Value::of_map(entries, n);
  return true;
}

constexpr std::array kNetConverters = {
    Converter{"URL", {{{"uri", Want::kString}}}, url_parts},
    Converter{
        "IsInCIDR", {{{"target", Want::kString}, {"networks", Want::kListOfStrings}}}, is_in_cidr, prepare_networks},
};

}  // namespace

std::span<const Converter> net_converters() { return kNetConverters; }

}  // namespace tailgate::condition

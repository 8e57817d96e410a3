// Converters that hash and encode, and those that make ids.
#include <openssl/evp.h>

#include "base/hash.h"
#include "decide/condition/convert/converters.h"

namespace tailgate {
namespace {

bool fnv(Evaluation&, const Arguments& a, Value& out) {
  out = Value::of_int(static_cast<std::int64_t>(fnv1a(a[0].text)));
  return true;
}

template <const EVP_MD* (*algorithm)()>
bool digest(Evaluation& e, const Arguments& a, Value& out) {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(a[0].text.data(), a[0].text.size(), bytes, &size, algorithm(), nullptr) != 1)
    return e.fail("this hash is not to be had here");
  std::string hex;
  append_hex(std::string_view(reinterpret_cast<const char*>(bytes), size), hex);
  return e.own(hex, out);
}

bool hex(Evaluation& e, const Arguments& a, Value& out) {
  std::string text;
  append_hex(a[0].text, text);  // of nil: the empty string
  return e.own(text, out);
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// The standard alphabet with padding; line breaks are passed over, as Go does.
bool base64_decode(Evaluation& e, const Arguments& a, Value& out) {
  std::string text, compact;
  for (const char c : a[0].text) {
    if (c != '\n' && c != '\r') compact += c;
  }
  if (compact.size() % 4 != 0) return e.fail("want base64 with its padding");
  for (std::size_t i = 0; i < compact.size(); i += 4) {
    const bool last = i + 4 == compact.size();
    const std::size_t padding = !last                                            ? 0
                                : compact[i + 2] == '=' && compact[i + 3] == '=' ? 2
                                : compact[i + 3] == '='                          ? 1
                                                                                 : 0;
    std::uint32_t n = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const int digit = k >= 4 - padding ? 0 : base64_digit(compact[i + k]);
      if (digit < 0) return e.fail("want base64 with its padding");
      n = n << 6 | static_cast<std::uint32_t>(digit);
    }
    for (std::size_t k = 0; k < 3 - padding; ++k) text += static_cast<char>(n >> (16 - 8 * k));
  }
  return e.own(text, out);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Bytes of the right length, or as many hexadecimal digits.
template <ValueKind kind>
bool id(Evaluation& e, const Arguments& a, Value& out) {
  constexpr std::size_t kSize = kind == ValueKind::kTraceId ? 16 : 8;
  constexpr const char* kWant =
      kind == ValueKind::kTraceId ? "want 16 bytes or 32 hexadecimal digits" : "want 8 bytes or 16 hexadecimal digits";
  const Value& v = a[0];
  if (v.is(kind) || (v.is(ValueKind::kBytes) && v.text.size() == kSize)) {
    out = Value::of_text(v.text, kind);
    return true;
  }
  if (!v.is(ValueKind::kString) || v.text.size() != 2 * kSize) return e.fail(kWant);
  char bytes[kSize];
  for (std::size_t i = 0; i < kSize; ++i) {
    const int high = hex_digit(v.text[2 * i]), low = hex_digit(v.text[2 * i + 1]);
    if (high < 0 || low < 0) return e.fail(kWant);
    bytes[i] = static_cast<char>(high << 4 | low);
  }
  return e.own(std::string_view(bytes, kSize), out, kind);
}

constexpr std::array kConverters = {
    Converter{"FNV", {{{"target", Want::kString}}}, fnv},
    Converter{"MD5", {{{"target", Want::kString}}}, digest<EVP_md5>},
    Converter{"SHA1", {{{"target", Want::kString}}}, digest<EVP_sha1>},
    Converter{"SHA256", {{{"target", Want::kString}}}, digest<EVP_sha256>},
    Converter{"SHA512", {{{"target", Want::kString}}}, digest<EVP_sha512>},
    Converter{"Hex", {{{"target", Want::kBytesLike}}}, hex},
    Converter{"Base64Decode", {{{"target", Want::kString}}}, base64_decode},
    Converter{"TraceID", {{{"bytes", Want::kAny}}}, id<ValueKind::kTraceId>},
    Converter{"SpanID", {{{"bytes", Want::kAny}}}, id<ValueKind::kSpanId>},
};

}  // namespace

std::span<const Converter> hash_converters() { return kConverters; }

}  // namespace tailgate

// SPDX-License-Identifier: Apache-2.0
// Converters that hash and encode, and those that make ids.
#include <openssl/evp.h>

#include "base/hash.h"
#include "codec/base64.h"
#include "codec/hex.h"
#include "decide/condition/convert/converters.h"

namespace tailgate::condition {
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
  return e.own(to_hex(ByteView(reinterpret_cast<const char*>(bytes), size)), out);
}

bool hex(Evaluation& e, const Arguments& a, Value& out) {
  return e.own(to_hex(a[0].text), out);  // of nil: the empty string
}

bool base64_decode(Evaluation& e, const Arguments& a, Value& out) {
  std::string text;
  if (!read_base64(a[0].text, kBase64Go, text)) return e.fail("expected base64 with its padding");
  return e.own(text, out);
}

// Bytes of the right length, or as many hexadecimal digits.
template <ValueKind kind>
bool id(Evaluation& e, const Arguments& a, Value& out) {
  constexpr std::size_t kSize = kind == ValueKind::kTraceId ? 16 : 8;
  constexpr const char* kWant = kind == ValueKind::kTraceId ? "expected 16 bytes or 32 hexadecimal digits"
                                                            : "expected 8 bytes or 16 hexadecimal digits";
  const Value& v = a[0];
  if (v.is(kind) || (v.is(ValueKind::kBytes) && v.text.size() == kSize)) {
    out = Value::of_text(v.text, kind);
    return true;
  }
  if (!v.is(ValueKind::kString) || v.text.size() != 2 * kSize) return e.fail(kWant);
  char bytes[kSize];
  if (!read_hex(v.text, bytes)) return e.fail(kWant);
  return e.own(std::string_view(bytes, kSize), out, kind);
}

constexpr std::array kHashConverters = {
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

std::span<const Converter> hash_converters() { return kHashConverters; }

}  // namespace tailgate::condition

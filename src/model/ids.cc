#include "model/ids.h"

namespace tailgate {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

template <std::size_t N>
std::optional<IdBytes<N>> IdBytes<N>::from_hex(std::string_view hex) {
  if (hex.size() != 2 * N) return std::nullopt;
  IdBytes id;
  for (std::size_t i = 0; i < N; ++i) {
    const int high = hex_value(hex[2 * i]);
    const int low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    id.bytes[i] = static_cast<char>(high << 4 | low);
  }
  return id;
}

template <std::size_t N>
std::string IdBytes<N>::hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(2 * N, '0');
  for (std::size_t i = 0; i < N; ++i) {
    text[2 * i] = kDigits[static_cast<unsigned char>(bytes[i]) >> 4];
    text[2 * i + 1] = kDigits[static_cast<unsigned char>(bytes[i]) & 15];
  }
  return text;
}

template struct IdBytes<16>;
template struct IdBytes<8>;

}  // namespace tailgate

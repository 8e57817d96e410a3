#include "codec/json_text.h"

#include "codec/utf8.h"

namespace tailgate {

void append_json_string(std::string& out, ByteView text) {
  constexpr char kDigits[] = "0123456789abcdef";
  out += '"';
  std::size_t plain = 0;  // start of the bytes not yet copied
  std::size_t i = 0;
  const auto flush = [&](std::size_t skip) {
    out.append(text.substr(plain, i - plain));
    i += skip;
    plain = i;
  };
  while (i < text.size()) {
    const auto c = static_cast<std::uint8_t>(text[i]);
    if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
      ++i;
    } else if (c >= 0x80) {
      const std::size_t size = utf8_length(text.data() + i, text.data() + text.size());
      if (size > 0) {
        i += size;
      } else {
        flush(1);
        out += "\xEF\xBF\xBD";
      }
    } else {
      flush(1);
      out += '\\';
      switch (c) {
        case '"':
        case '\\':
          out += static_cast<char>(c);
          break;
        case '\n':
          out += 'n';
          break;
        case '\r':
          out += 'r';
          break;
        case '\t':
          out += 't';
          break;
        default:
          out += "u00";
          out += kDigits[c >> 4];
          out += kDigits[c & 15];
      }
    }
  }
  flush(0);
  out += '"';
}

ByteView json_string_front(ByteView text, std::size_t& room) {
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<std::uint8_t>(text[i]);
    std::size_t size = 1, more = 0;
    if (c >= 0x80) {
      size = utf8_length(text.data() + i, text.data() + text.size());
      if (size == 0) size = 1, more = 2;
    } else if (c < 0x20) {
      more = c == '\n' || c == '\r' || c == '\t' ? 1 : 5;
    } else {
      more = c == '"' || c == '\\' ? 1 : 0;
    }
    if (more > room) return text.substr(0, i);
    room -= more;
    i += size;
  }
  return text;
}

}  // namespace tailgate

// SPDX-License-Identifier: Apache-2.0
// The columns of the span table as Arrow builders. Each appends one cell per row and gives its array at the end of a
// row group. Texts come from strangers: what is no UTF-8 becomes '?'.
#pragma once

#include <arrow/api.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "codec/hex.h"
#include "codec/utf8.h"
#include "wire/otlp/attribute_text.h"
#include "wire/otlp/span_view.h"

namespace tailgate {

// Arrow's errors are its own: out of memory, or a column of more than 2 GiB. They end at the module's edge.
inline void want(const arrow::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

inline void append_text(arrow::StringBuilder& out, ByteView text) {
  want(is_utf8(text) ? out.Append(text) : out.Append(to_utf8(text)));
}

// A text that says nothing when it is empty.
inline void append_some(arrow::StringBuilder& out, ByteView text) {
  if (text.empty()) return want(out.AppendNull());
  append_text(out, text);
}

inline void append_hex_id(arrow::StringBuilder& out, ByteView id) {
  if (id.find_first_not_of('\0') == ByteView::npos) return want(out.AppendNull());
  want(out.Append(to_hex(id)));
}

// Attributes as map<text, text>, values as the Collector writes them in texts, and beside it a letter for the type of
// each in the order of the map: so that nothing but the inside of arrays and maps loses its type.
class AttributeColumns {
 public:
  explicit AttributeColumns(arrow::MemoryPool* pool)
      : keys_(std::make_shared<arrow::StringBuilder>(pool)),
        values_(std::make_shared<arrow::StringBuilder>(pool)),
        map_(std::make_shared<arrow::MapBuilder>(pool, keys_, values_)),
        types_(std::make_shared<arrow::StringBuilder>(pool)) {}

  const std::shared_ptr<arrow::MapBuilder>& map() const { return map_; }
  const std::shared_ptr<arrow::StringBuilder>& types() const { return types_; }

  // Sorted, and of several with one key the last: readers refuse a map that has a key twice.
  void append(const AttributeViews& attributes) {
    for (const AttributeView& a : attributes) {
      if (!is_utf8(a.key)) return append_mended(attributes);
    }
    append_texts(attributes);
  }

  void append_null() {
    want(map_->AppendNull());
    want(types_->AppendNull());
  }

 private:
  // Keys that are no text become one before they are compared.
  void append_mended(AttributeViews attributes) {
    std::vector<std::string> keys;
    for (const AttributeView& a : attributes) keys.push_back(to_utf8(a.key));
    for (std::size_t i = 0; i < keys.size(); ++i) attributes[i].key = keys[i];
    append_texts(attributes);
  }

  void append_texts(const AttributeViews& attributes) {
    want(map_->Append());
    letters_.clear();
    order_.resize(attributes.size());
    for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = i;
    std::sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(attributes[a].key, a) < std::pair(attributes[b].key, b);
    });
    for (std::size_t i = 0; i < order_.size(); ++i) {
      const AttributeView& a = attributes[order_[i]];
      if (i + 1 < order_.size() && attributes[order_[i + 1]].key == a.key) continue;
      want(keys_->Append(a.key));
      append_value(a.value);
      letters_ += "nsbidamy"[static_cast<std::size_t>(a.value.kind)];
    }
    want(types_->Append(letters_));
  }

  void append_value(const AttributeValue& value) {
    if (value.kind == AttributeValue::Kind::kUnset) return want(values_->AppendNull());
    if (value.kind == AttributeValue::Kind::kString) return append_text(*values_, value.bytes);
    text_.clear();
    append_attribute_text(text_, value);
    append_text(*values_, text_);
  }

  std::shared_ptr<arrow::StringBuilder> keys_, values_;
  std::shared_ptr<arrow::MapBuilder> map_;
  std::shared_ptr<arrow::StringBuilder> types_;
  std::vector<std::size_t> order_;
  std::string letters_, text_;
};

}  // namespace tailgate

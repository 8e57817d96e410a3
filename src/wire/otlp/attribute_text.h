// SPDX-License-Identifier: Apache-2.0
// Attribute values as text, for formats whose tags are texts. They are written as the Collector does (pdata's
// AsString), so that its spans and ours are found by the same search: text unchanged, true or false, numbers in their
// shortest form, bytes in base64, arrays and maps as JSON with sorted keys. Pure functions.
#pragma once

#include <string>

#include "wire/otlp/span_view.h"

namespace tailgate {

void append_attribute_text(std::string& out, const AttributeValue& value);

// As JSON. Deeper than 64 becomes null; NaN and infinities become texts.
void append_attribute_json(std::string& out, const AttributeValue& value);
// {"key":value,...} with sorted keys; of several attributes with one key the last counts.
void append_attributes_json(std::string& out, const AttributeViews& attributes);

}  // namespace tailgate

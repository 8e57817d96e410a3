// Attribute values as text, for formats whose tags are texts: as the Collector writes them (pdata's AsString), so that
// what we send and what it sends can be searched alike. Text as it is, true/false, numbers in their shortest form,
// bytes in base64, arrays and maps as JSON with sorted keys. Pure functions.
#pragma once

#include <string>

#include "wire/otlp/span_view.h"

namespace tailgate {

void append_attribute_text(std::string& out, const AttributeValue& value);

// As JSON. Deeper than 64 becomes null; NaN and infinities become texts.
void append_attribute_json(std::string& out, const AttributeValue& value);
// {"key":value,...}: keys sorted, of several with one name the last.
void append_attributes_json(std::string& out, const AttributeViews& attributes);

}  // namespace tailgate

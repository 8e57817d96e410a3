// SPDX-License-Identifier: Apache-2.0
#include "store/part_facts.h"

#include <algorithm>

#include "wire/otlp/attribute_text.h"
#include "wire/otlp/span_view.h"

namespace tailgate {
namespace {

// The different ones of many hashes, of which most come again and again; kTermsMax at most.
class TermSet {
 public:
  void add(TermHash term) {
    if (2 * terms_.size() >= slots_.size()) grow();
    for (std::size_t i = term & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i] == term) return;
      if (slots_[i] != kAnyTerm) continue;
      if (terms_.size() == kTermsMax) return;
      slots_[i] = term;
      terms_.push_back(term);
      return;
    }
  }
  std::vector<TermHash> take() { return std::move(terms_); }

 private:
  void grow() {
    const std::size_t size = std::max<std::size_t>(1024, 2 * slots_.size());
    slots_.assign(size, kAnyTerm);
    for (const TermHash t : terms_) {
      std::size_t i = t & (size - 1);
      while (slots_[i] != kAnyTerm) i = (i + 1) & (size - 1);
      slots_[i] = t;
    }
  }
  std::vector<TermHash> slots_;  // kAnyTerm: free
  std::vector<TermHash> terms_;
};

class FactReader {
 public:
  FactReader(KnownNames& known, PartFacts& out) : known_(known), out_(out) {}

  void take(const ResourceView& resource, const ScopeView& scope, const SpanView& span) {
    if (resource.number != resource_) take_resource(resource);
    if (scope.name.data() != scope_ || !scope.attributes.empty()) {
      scope_ = scope.name.data();
      attributes(AttributeScope::kScope, scope.attributes);
    }
    attributes(AttributeScope::kSpan, span.attributes);
    for (const EventView& e : span.events) attributes(AttributeScope::kEvent, e.attributes);
    for (const LinkView& l : span.links) attributes(AttributeScope::kLink, l.attributes);
    terms_.add(span_name_term(span.name));
    terms_.add(status_term(status_text(span.status_code)));
    terms_.add(kind_term(kind_text(span.kind)));
    if (span.end_ns > span.start_ns) out_.longest_ns = std::max(out_.longest_ns, span.end_ns - span.start_ns);
    out_.start_ns = spans_.empty() ? span.start_ns : std::min(out_.start_ns, span.start_ns);
    out_.end_ns = std::max({out_.end_ns, span.start_ns, span.end_ns});
    if (span.name.size() <= kKnownTextMax && known_.operation(service(), span.name, span.kind)) {
      out_.operations.push_back({service(), std::string(span.name), span.kind});
    }
    spans_.push_back({id_of(span.span_id), id_of(span.parent_span_id), service_});
  }

  void end(bool whole) {
    out_.terms = terms_.take();
    if (out_.terms.size() >= kTermsMax || !whole) out_.terms.push_back(kAnyTerm);
    std::sort(spans_.begin(), spans_.end(), [](const Span& a, const Span& b) { return a.id < b.id; });
    for (const Span& s : spans_) {
      if (s.parent == 0) continue;
      const auto parent = std::lower_bound(spans_.begin(), spans_.end(), s.parent,
                                           [](const Span& a, std::uint64_t id) { return a.id < id; });
      if (parent == spans_.end() || parent->id != s.parent) continue;
      ++out_.calls[{*names_[parent->service], *names_[s.service]}];
    }
    for (const std::string* name : names_) {
      if (!name->empty()) out_.services.push_back(*name);
    }
    std::sort(out_.services.begin(), out_.services.end());
  }

 private:
  struct Span {
    std::uint64_t id, parent;
    std::size_t service;
  };

  static std::uint64_t id_of(ByteView bytes) { return bytes.size() == 8 ? load_le<std::uint64_t>(bytes.data()) : 0; }
  const std::string& service() const { return *names_[service_]; }

  void take_resource(const ResourceView& resource) {
    resource_ = resource.number;
    attributes(AttributeScope::kResource, resource.attributes);
    std::string name;
    if (const AttributeValue* value = find_attribute(resource.attributes, "service.name")) {
      append_attribute_text(name, *value);
    }
    const auto [at, fresh] = numbers_.try_emplace(std::move(name), names_.size());
    service_ = at->second;
    if (fresh) names_.push_back(&at->first);
  }

  void attributes(AttributeScope scope, const AttributeViews& views) {
    for (const AttributeView& a : views) {
      const TermHash key = key_term(a.key);
      terms_.add(key);
      const bool short_key = a.key.size() <= kKnownTextMax;
      if (short_key && known_.name(scope, key)) out_.names.push_back({scope, std::string(a.key), {}, false});
      if (a.value.kind == AttributeValue::Kind::kArray) {
        for (const AttributeValue& element : array_of(a.value)) value(scope, a.key, key, element, short_key);
      } else {
        value(scope, a.key, key, a.value, short_key);
      }
    }
  }

  void value(AttributeScope scope, ByteView key, TermHash key_hash, const AttributeValue& value, bool short_key) {
    ByteView text = value.bytes;
    if (value.kind != AttributeValue::Kind::kString) {
      text_.clear();
      append_attribute_text(text_, value);
      text = text_;
    }
    const TermHash hash = value_term(key_hash, text);
    terms_.add(hash);
    if (short_key && text.size() <= kKnownTextMax && known_.value(scope, key_hash, hash)) {
      out_.names.push_back({scope, std::string(key), std::string(text), true});
    }
  }

  KnownNames& known_;
  PartFacts& out_;
  TermSet terms_;
  std::string text_;
  std::vector<Span> spans_;
  std::unordered_map<std::string, std::size_t> numbers_;  // of services, by name
  std::vector<const std::string*> names_;                 // by number
  std::size_t service_ = 0;
  std::uint64_t resource_ = 0;
  const char* scope_ = nullptr;
};

}  // namespace

bool KnownNames::operation(std::string_view service, std::string_view name, std::uint32_t kind) {
  const std::uint64_t h = hash_bytes(name, hash_bytes(service, kind));
  if (operations_.size() >= kKnownOperationsMax) return false;
  return operations_.insert(h).second;
}

bool KnownNames::name(AttributeScope scope, TermHash key) {
  const std::uint64_t h = key + static_cast<std::uint64_t>(scope);
  if (values_.size() >= kKnownNamesMax) return false;
  return values_.try_emplace(h).second;
}

bool KnownNames::value(AttributeScope scope, TermHash key, TermHash value) {
  const auto name = values_.find(key + static_cast<std::uint64_t>(scope));
  if (name == values_.end() || name->second.size() >= kValuesOfNameMax || values_in_all_ >= kKnownValuesMax) {
    return false;
  }
  const bool fresh = name->second.insert(value).second;
  values_in_all_ += fresh ? 1 : 0;
  return fresh;
}

PartFacts read_part_facts(std::string_view otlp, KnownNames& known) {
  PartFacts facts;
  FactReader reader(known, facts);
  CutItems cut;
  const bool whole = each_span(
      otlp, [&](const ResourceView& r, const ScopeView& s, const SpanView& span) { reader.take(r, s, span); }, &cut);
  reader.end(whole && cut.all() == 0);
  return facts;
}

}  // namespace tailgate

// SPDX-License-Identifier: Apache-2.0
#include "store/part_facts.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/kept_memory.h"
#include "wire/otlp/attribute_text.h"
#include "wire/otlp/span_reader.h"

namespace tailgate {
namespace {

std::uint64_t operation_hash(std::uint64_t service, TermHash name, std::uint32_t kind) {
  return mix_bits(name ^ mix_bits(service + kind));
}

// Slots of a table for so many entries, and half as many again that stay free.
std::size_t slots_for(std::size_t entries) { return std::bit_ceil(2 * entries + 1); }

// The different ones of many hashes, of which most come again and again; kTermsMax at most.
class TermSet {
 public:
  // False: it is there already.
  bool add(TermHash term) {
    const auto tag = static_cast<std::uint32_t>(term >> 48 << 16);
    for (std::size_t i = term & mask_;; i = (i + 1) & mask_) {
      const std::uint32_t slot = slots_[i];
      if (slot == 0) return insert(term, i, tag);
      if ((slot & 0xffff'0000) == tag && terms_[(slot & 0xffff) - 1] == term) return false;
    }
  }
  // For the next part, which may have as many.
  std::vector<TermHash> take() {
    std::vector<TermHash> out = std::exchange(terms_, {});
    terms_.reserve(out.size());
    slots_.assign(std::max(kSlotsMin, slots_for(out.size())), 0);
    mask_ = slots_.size() - 1;
    return out;
  }

 private:
  static constexpr std::size_t kSlotsMin = 256;
  static_assert(kTermsMax < 0xffff);

  bool insert(TermHash term, std::size_t at, std::uint32_t tag) {
    if (terms_.size() == kTermsMax) return true;
    terms_.push_back(term);
    slots_[at] = tag | static_cast<std::uint32_t>(terms_.size());
    if (2 * terms_.size() > slots_.size()) grow();
    return true;
  }
  void grow() {
    slots_.assign(2 * slots_.size(), 0);
    mask_ = slots_.size() - 1;
    for (std::size_t n = 0; n != terms_.size(); ++n) {
      std::size_t i = terms_[n] & mask_;
      while (slots_[i] != 0) i = (i + 1) & mask_;
      slots_[i] = static_cast<std::uint32_t>(terms_[n] >> 48 << 16 | (n + 1));
    }
  }
  std::vector<std::uint32_t> slots_ = std::vector<std::uint32_t>(kSlotsMin);  // 16 bits of a term, its place and 1
  std::size_t mask_ = kSlotsMin - 1;
  std::vector<TermHash> terms_;
};

// The calls of one service by another in a part: of each span whose parent is in it.
class CallCounter {
 public:
  void add(ByteView id, ByteView parent, std::uint32_t service) {
    spans_.push_back({id_of(id), id_of(parent), service});
  }

  // take(parent's service, service, calls) for each pair. For the next part.
  template <class Take>
  void take(Take take) {
    slots_.assign(slots_for(spans_.size()), 0);
    const std::size_t mask = slots_.size() - 1;
    const auto first_slot = [&](std::uint64_t id) { return mix_bits(id ^ seed_) & mask; };
    for (std::size_t n = 0; n != spans_.size(); ++n) {
      std::size_t i = first_slot(spans_[n].id);
      while (slots_[i] != 0 && spans_[slots_[i] - 1].id != spans_[n].id) i = (i + 1) & mask;
      if (slots_[i] == 0) slots_[i] = static_cast<std::uint32_t>(n + 1);
    }
    std::uint64_t* last = nullptr;
    std::uint64_t last_pair = 0;
    boost::unordered_flat_map<std::uint64_t, std::uint64_t> calls;
    for (const Span& s : spans_) {
      if (s.parent == 0) continue;
      std::size_t i = first_slot(s.parent);
      while (slots_[i] != 0 && spans_[slots_[i] - 1].id != s.parent) i = (i + 1) & mask;
      if (slots_[i] == 0) continue;
      const std::uint64_t pair = std::uint64_t{spans_[slots_[i] - 1].service} << 32 | s.service;
      if (last == nullptr || pair != last_pair) last = &calls[last_pair = pair];
      ++*last;
    }
    for (const auto& [pair, n] : calls) {
      take(static_cast<std::uint32_t>(pair >> 32), static_cast<std::uint32_t>(pair), n);
    }
    spans_.clear();
    limit_memory(spans_, kKeptSpans * sizeof(Span));
    limit_memory(slots_, slots_for(kKeptSpans) * sizeof slots_[0]);
  }

 private:
  static constexpr std::size_t kKeptSpans = 4096;  // whose memory is kept for the next part
  struct Span {
    std::uint64_t id, parent;
    std::uint32_t service;
  };
  static std::uint64_t id_of(ByteView bytes) { return bytes.size() == 8 ? load_le<std::uint64_t>(bytes.data()) : 0; }

  const std::uint64_t seed_ = random_seed();
  std::vector<Span> spans_;
  std::vector<std::uint32_t> slots_;  // the number of a span and 1, by its id; of several the first; 0: free
};

}  // namespace

class FactReader::Impl {
 public:
  PartFacts read(std::string_view otlp, KnownNames& known) {
    PartFacts facts;
    known_ = &known;
    out_ = &facts;
    before_.clear();
    forgotten_ = false;
    CutItems cut;
    SpanView view;
    const auto take_bytes = [&](const ResourceView& resource, const ScopeView& scope, ByteView span,
                                const CutItems& left_out) {
      const std::size_t names = facts.names.size();
      place_ = 0;
      unlimited_ = span.size() <= kUnlimitedBytes;
      ItemRoom room(span.size());
      if (!read_span_fields(span, view, room, [&](ByteView bytes) { span_attribute(bytes, room); })) {
        forget_names(names);
        return false;
      }
      take(resource, scope, view);
      (cut += left_out) += view.cut;
      return true;
    };
    const bool whole = each_span_bytes(otlp, take_bytes);
    end(whole && cut.all() == 0);
    facts.content = static_cast<std::int64_t>(hash_bytes(otlp, 0));
    return facts;
  }

 private:
  static constexpr std::size_t kPlacesMax = 128;
  static constexpr std::size_t kKeptServices = 1024, kKeptText = 64 << 10;  // whose memory is kept for the next part
  // An attribute takes two bytes and so does a value in a list, so no span of this size reaches a limit of ItemRoom.
  static constexpr std::size_t kUnlimitedBytes = 64 << 10;
  static_assert(kUnlimitedBytes / 2 < std::min({kAttributesMax, kValuesMax, kValueBytesMax}));
  // What stood at a place in the list of a span before, which most often has the same name there, and some values.
  struct Before {
    ByteView bytes;  // of the KeyValue; null where a limit may have cut it
    ByteView key;
    TermHash hash = kAnyTerm;
    KnownName* known = nullptr;
  };

  void take(const ResourceView& resource, const ScopeView& scope, const SpanView& span) {
    if (resource.number != resource_) take_resource(resource);
    if (scope.name.data() != scope_ || !scope.attributes.empty()) {
      scope_ = scope.name.data();
      attributes(AttributeScope::kScope, scope.attributes);
    }
    for (const EventView& e : span.events) attributes(AttributeScope::kEvent, e.attributes);
    for (const LinkView& l : span.links) attributes(AttributeScope::kLink, l.attributes);
    const TermHash name = span_name_term(span.name);
    terms_.add(name);
    if (std::exchange(status_, span.status_code) != span.status_code) {
      terms_.add(status_term(status_text(span.status_code)));
    }
    if (std::exchange(kind_, span.kind) != span.kind) terms_.add(kind_term(kind_text(span.kind)));
    if (span.end_ns > span.start_ns) out_->longest_ns = std::max(out_->longest_ns, span.end_ns - span.start_ns);
    out_->start_ns = any_span_ ? std::min(out_->start_ns, span.start_ns) : span.start_ns;
    out_->end_ns = std::max({out_->end_ns, span.start_ns, span.end_ns});
    any_span_ = true;
    if (span.name.size() <= kKnownTextMax && known_->operation(service_hash_, name, span.kind)) {
      out_->operations.push_back({*names_[service_], std::string(span.name), span.kind});
    }
    calls_.add(span.span_id, span.parent_span_id, service_);
  }

  // Makes ready for the next part.
  void end(bool whole) {
    out_->terms = terms_.take();
    if (out_->terms.size() >= kTermsMax || !whole) out_->terms.push_back(kAnyTerm);
    std::vector<std::size_t> places(names_.size(), SIZE_MAX);  // in `services`, by number
    std::sort(names_.begin(), names_.end(), [](const std::string* a, const std::string* b) { return *a < *b; });
    for (const std::string* name : names_) {
      if (name->empty()) continue;
      places[numbers_.find(*name)->second] = out_->services.size();
      out_->services.push_back(*name);
    }
    calls_.take([&](std::uint32_t parent, std::uint32_t child, std::uint64_t calls) {
      if (places[parent] == SIZE_MAX || places[child] == SIZE_MAX) return;
      out_->calls.push_back({places[parent], places[child], calls});
    });
    ++part_;
    numbers_.clear();
    names_.clear();
    // A part of thousands of services, or of a value of megabytes, is not paid for by each part after it.
    if (numbers_.bucket_count() > kKeptServices) free_memory(numbers_);
    if (names_.capacity() > kKeptServices) free_memory(names_);
    limit_memory(text_, kKeptText);
    resource_ = 0;
    scope_ = nullptr;
    status_ = kind_ = std::nullopt;
    any_span_ = false;
  }

  void take_resource(const ResourceView& resource) {
    resource_ = resource.number;
    attributes(AttributeScope::kResource, resource.attributes);
    std::string name;
    if (const AttributeValue* value = find_attribute(resource.attributes, "service.name")) {
      append_attribute_text(name, *value);
    }
    const auto [at, fresh] = numbers_.try_emplace(std::move(name), static_cast<std::uint32_t>(names_.size()));
    service_ = at->second;
    service_hash_ = KnownNames::service_hash(at->first);
    if (fresh) names_.push_back(&at->first);
  }

  void attributes(AttributeScope scope, const AttributeViews& views) {
    for (const AttributeView& a : views) attribute(scope, a);
  }

  void attribute(AttributeScope scope, const AttributeView& a) {
    const TermHash hash = key_term(a.key);
    values(scope, a, hash, take_key(scope, a.key, hash));
  }

  void span_attribute(ByteView bytes, ItemRoom& room) {
    const std::size_t place = place_++;
    if (unlimited_ && place < before_.size()) {
      const ByteView before = before_[place].bytes;
      if (before.data() != nullptr && before == bytes) return;
    }
    AttributeView a;
    read_attribute(bytes, a, room);
    if (place >= kPlacesMax) return attribute(AttributeScope::kSpan, a);
    if (place == before_.size()) before_.emplace_back();
    Before& b = before_[place];
    b.bytes = unlimited_ ? bytes : ByteView();
    if (b.hash == kAnyTerm || b.key != a.key) {
      b.key = a.key;
      b.hash = key_term(a.key);
      b.known = take_key(AttributeScope::kSpan, a.key, b.hash);
    }
    values(AttributeScope::kSpan, a, b.hash, b.known);
  }

  // The names from number `from` on are those of a span that turned out to be malformed. Its terms may stay in the
  // index: a part with such a span is a candidate of every search.
  void forget_names(std::size_t from) {
    PartFacts gone;
    const auto first = out_->names.begin() + static_cast<std::ptrdiff_t>(from);
    gone.names.assign(std::make_move_iterator(first), std::make_move_iterator(out_->names.end()));
    out_->names.resize(from);
    known_->forget(gone);
    before_.clear();  // what good spans have of these names is new again
    forgotten_ = true;
  }

  // Null: its values are not remembered.
  KnownName* take_key(AttributeScope scope, ByteView key, TermHash hash) {
    KnownNames::Found known = {nullptr, false};
    if (key.size() <= kKnownTextMax) known = known_->name(scope, hash);
    if (known.fresh) out_->names.push_back({scope, std::string(key), {}, false});
    if (known.name == nullptr || known.name->part != part_) terms_.add(hash);
    if (known.name == nullptr) return nullptr;
    if (known.name->part != part_) known.name->scopes_there = 0;
    known.name->part = part_;
    known.name->scopes_there |= 1U << static_cast<unsigned>(scope);
    return known_->takes_values(*known.name, scope) ? known.name : nullptr;
  }

  void values(AttributeScope scope, const AttributeView& a, TermHash key, KnownName* known) {
    if (a.value.kind == AttributeValue::Kind::kString) return text(scope, a.key, key, known, a.value.bytes);
    const auto any = [&](const AttributeValue& value) {
      text_.clear();
      append_attribute_text(text_, value);
      text(scope, a.key, key, known, text_);
    };
    if (a.value.kind != AttributeValue::Kind::kArray) return any(a.value);
    for (const AttributeValue& element : array_of(a.value)) any(element);
  }

  void text(AttributeScope scope, ByteView key, TermHash key_hash, KnownName* known, ByteView text) {
    const TermHash hash = value_term(key_hash, text);
    const bool fresh = terms_.add(hash);
    // What the part has had already, and in no other scope, has been asked.
    if (known == nullptr || (!fresh && !forgotten_ && known->scopes_there == 1U << static_cast<unsigned>(scope)))
      return;
    if (text.size() <= kKnownTextMax && known_->value(*known, scope, hash)) {
      out_->names.push_back({scope, std::string(key), std::string(text), true});
    }
  }

  KnownNames* known_ = nullptr;
  PartFacts* out_ = nullptr;
  std::uint64_t part_ = 1;
  TermSet terms_;
  CallCounter calls_;
  std::string text_;
  std::size_t place_ = 0;   // of the next attribute in the span's list
  bool unlimited_ = false;  // the span is too small for any limit
  bool forgotten_ = false;  // names of this part: that a term is there does not say that its name is listed
  std::vector<Before> before_;
  std::unordered_map<std::string, std::uint32_t> numbers_;  // of services, by name
  std::vector<const std::string*> names_;                   // by number
  std::uint32_t service_ = 0;
  std::uint64_t service_hash_ = 0;
  std::uint64_t resource_ = 0;
  const char* scope_ = nullptr;
  std::optional<std::uint32_t> status_, kind_;  // of the span before
  bool any_span_ = false;
};

FactReader::FactReader() : impl_(std::make_unique<Impl>()) {}
FactReader::~FactReader() = default;
PartFacts FactReader::read(std::string_view otlp, KnownNames& known) { return impl_->read(otlp, known); }

KnownNames::Found KnownNames::name(AttributeScope scope, TermHash key) {
  const auto at = names_.find(key);
  KnownName* name = at == names_.end() ? nullptr : at->second.get();
  const auto n = static_cast<std::size_t>(scope);
  if ((name != nullptr && name->scopes[n].taken) || names_in_all_ >= kKnownNamesMax) return {name, false};
  if (name == nullptr) name = (names_[key] = std::make_unique<KnownName>()).get();
  ++names_in_all_;
  return {name, name->scopes[n].taken = true};
}

bool KnownNames::operation(std::uint64_t service, TermHash name, std::uint32_t kind) {
  if (operations_.size() >= kKnownOperationsMax) return false;
  return operations_.insert(operation_hash(service, name, kind)).second;
}

void KnownNames::forget(const PartFacts& facts) {
  for (const PartFacts::Operation& o : facts.operations) {
    operations_.erase(operation_hash(service_hash(o.service), span_name_term(o.name), o.kind));
  }
  for (const PartFacts::Name& n : facts.names) {
    const TermHash key = key_term(n.name);
    const auto at = names_.find(key);
    if (at == names_.end()) continue;
    KnownName::InScope& in = at->second->scopes[static_cast<std::size_t>(n.scope)];
    if (n.has_value) {
      values_in_all_ -= in.values.erase(value_term(key, n.value));
    } else {
      names_in_all_ -= std::exchange(in.taken, false) ? 1 : 0;
    }
  }
}

}  // namespace tailgate

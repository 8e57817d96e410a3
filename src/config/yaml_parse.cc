// SPDX-License-Identifier: Apache-2.0
// Parses YAML text to YamlValue with yaml-cpp's event interface. Its exceptions are caught here.
#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <sstream>
#include <unordered_map>

#include "config/yaml_value.h"

namespace tailgate {
namespace {

constexpr std::uint64_t kNodesMax = 1'000'000;

struct Problem {
  YamlPlace place;
  std::string text;
};

// Builds the tree from events with a stack of its own. The first problem is kept; later events only keep the stack
// right.
class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(const std::string& file, YamlPlace origin)
      : file_(std::make_shared<const std::string>(file)), origin_(origin) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(make(YamlValue::Kind::kNull, mark, anchor), "null", false);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end() || !found->second->closed) {
      problem(place_of(mark), "expected an alias of a finished value, got one inside itself");
      add(make(YamlValue::Kind::kNull, mark, 0), "", false);
      return;
    }
    add(found->second, found->second->text, false);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlValuePtr v = make(YamlValue::Kind::kScalar, mark, anchor);
    v->text = value;
    v->quoted = tag == "!";
    add(v, value, tag == "?");
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(make(YamlValue::Kind::kList, mark, anchor));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(make(YamlValue::Kind::kMap, mark, anchor));
  }
  void OnMapEnd() override { close(); }

  YamlPlace place_of(const YAML::Mark& mark) const {
    if (mark.line < 0) return origin_;
    return {origin_.line + mark.line, mark.line == 0 ? origin_.column + mark.column : mark.column + 1};
  }
  YamlValuePtr root() {
    if (root_ == nullptr) root_ = make(YamlValue::Kind::kNull, YAML::Mark::null_mark(), 0);
    return root_;
  }
  bool has_root() const { return root_ != nullptr; }
  const std::optional<Problem>& first_problem() const { return problem_; }

 private:
  struct Frame {
    YamlValuePtr value;
    bool has_key = false;
    bool merge = false;  // the key was a plain <<
    std::string key;
    YamlPlace key_place;
  };

  YamlValuePtr make(YamlValue::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    YamlValuePtr v = std::make_shared<YamlValue>();
    v->kind = kind;
    v->place = place_of(mark);
    v->file = file_;
    if (anchor != 0) anchors_[anchor] = v;
    return v;
  }

  void open(const YamlValuePtr& v) {
    v->closed = false;
    Frame frame;
    frame.value = v;
    stack_.push_back(std::move(frame));
  }

  void close() {
    YamlValuePtr v = std::move(stack_.back().value);
    stack_.pop_back();
    v->closed = true;
    add(v, {}, false);
  }

  // A finished value: a key or value of the map on top of the stack, an item of the list there, or the root.
  void add(const YamlValuePtr& v, std::string_view key_text, bool plain) {
    if (stack_.empty()) {
      root_ = v;
      return;
    }
    Frame& top = stack_.back();
    YamlValue& parent = *top.value;
    if (parent.kind == YamlValue::Kind::kList) {
      parent.items.push_back(v);
      grow(parent, *v);
      return;
    }
    if (!top.has_key) {
      if (v->kind == YamlValue::Kind::kList || v->kind == YamlValue::Kind::kMap) {
        problem(v->place, "expected a key that is a scalar, got " + describe(v.get()));
      }
      top.has_key = true;
      top.merge = plain && key_text == "<<";
      top.key = key_text;
      top.key_place = v->place;
      return;
    }
    top.has_key = false;
    if (top.merge) {
      merge(parent, *v);
      return;
    }
    for (YamlEntry& e : parent.entries) {
      if (e.key != top.key) continue;
      if (e.place.line == 0) {  // came by a merge: the map's own key wins
        e.place = top.key_place;
        e.value = v;
        grow(parent, *v);
        return;
      }
      problem(top.key_place, fmt::format("expected each key once, got {} again (first at line {})",
                                         quote_for_message(top.key), e.place.line));
      return;
    }
    parent.entries.push_back({std::move(top.key), top.key_place, v});
    grow(parent, *v);
  }

  // YAML 1.1's `<<: *defaults` or a list of maps. Line 0 marks merged entries, which the map's own may replace.
  void merge(YamlValue& into, const YamlValue& from) {
    if (from.kind == YamlValue::Kind::kMap) {
      for (const YamlEntry& e : from.entries) {
        if (into.find(e.key) != nullptr) continue;
        into.entries.push_back({e.key, {0, e.place.column}, e.value});
        grow(into, *e.value);
      }
      return;
    }
    if (from.kind != YamlValue::Kind::kList) {
      problem(from.place, "expected a map or a list of maps after <<, got " + describe(&from));
      return;
    }
    for (const YamlValuePtr& item : from.items) {
      if (item->kind == YamlValue::Kind::kMap) {
        merge(into, *item);
      } else {
        problem(item->place, "expected a map after <<, got " + describe(item.get()));
      }
    }
  }

  void grow(YamlValue& parent, const YamlValue& child) {
    parent.size = std::min(parent.size + child.size, kNodesMax + 1);
    if (parent.size > kNodesMax) {
      problem(parent.place, fmt::format("expected at most {} values with aliases written out, got more", kNodesMax));
    }
  }

  void problem(YamlPlace place, std::string text) {
    if (!problem_) problem_ = Problem{place, std::move(text)};
  }

  std::shared_ptr<const std::string> file_;
  YamlPlace origin_;
  std::vector<Frame> stack_;
  std::unordered_map<YAML::anchor_t, YamlValuePtr> anchors_;
  YamlValuePtr root_;
  std::optional<Problem> problem_;
};

}  // namespace

Result<YamlValuePtr> parse_yaml(std::string_view text, const std::string& file, YamlPlace origin) {
  TreeBuilder builder(file, origin);
  const auto bad = [&](YamlPlace place, std::string_view what) {
    return fail(ErrorKind::kConfig, config_message(file, place, "document", what));
  };
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    parser.HandleNextDocument(builder);
    if (builder.has_root() && parser) {
      TreeBuilder second(file, origin);
      if (parser.HandleNextDocument(second)) {
        return bad(second.root()->place, "expected one YAML document, got a second one");
      }
    }
  } catch (const YAML::Exception& e) {
    return bad(builder.place_of(e.mark), fmt::format("expected YAML, got a syntax error: {}", e.msg));
  } catch (const std::exception& e) {
    return bad(origin, fmt::format("expected YAML, got what the parser cannot read: {}", e.what()));
  }
  if (builder.first_problem()) return bad(builder.first_problem()->place, builder.first_problem()->text);
  return builder.root();
}

std::string single_line(std::string_view text) {
  std::string out;
  const auto escape = [&](std::size_t from, std::size_t count) {
    for (const char c : text.substr(from, count)) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    return count;
  };
  for (std::size_t i = 0; i < text.size();) {
    const std::string_view rest = text.substr(i);
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7f) {
      i += escape(i, 1);
    } else if (rest.starts_with("\xC2\x85")) {
      i += escape(i, 2);
    } else if (rest.starts_with("\xE2\x80\xA8") || rest.starts_with("\xE2\x80\xA9")) {
      i += escape(i, 3);
    } else {
      out += text[i++];
    }
  }
  return out;
}

// One line whatever the file holds: keys and variables may have line breaks in them.
std::string config_message(std::string_view file, YamlPlace place, std::string_view path, std::string_view text) {
  return single_line(
      fmt::format("{}:{}:{}: {}: {}", file, place.line, place.column, path.empty() ? "document" : path, text));
}

std::string quote_for_message(std::string_view text) {
  constexpr std::size_t kShown = 80;
  return fmt::format("'{}{}'", single_line(text.substr(0, kShown)), text.size() > kShown ? "..." : "");
}

std::string describe(const YamlValue* value) {
  if (value == nullptr) return "nothing";
  switch (value->kind) {
    case YamlValue::Kind::kNull:
      return "nothing";
    case YamlValue::Kind::kScalar:
      return quote_for_message(value->text);
    case YamlValue::Kind::kList:
      return "a list";
    case YamlValue::Kind::kMap:
      return "a map";
  }
  return "nothing";
}

}  // namespace tailgate

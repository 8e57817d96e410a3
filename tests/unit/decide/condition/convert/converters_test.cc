// SPDX-License-Identifier: Apache-2.0
// Every converter, with what it takes, what it makes of nil and of other types, and what it refuses. Where contrib
// v0.140's OTTL knows the converter it says the same of the same span, but for what docs/compatibility.md lists.
#include <catch2/catch.hpp>

#include "support/conditions.h"

using namespace tailgate;
using namespace tailgate::test;

TEST_CASE("converters tell types", "[decide]") {
  check({
      {R"~(IsString(attributes["str"]))~", "true"},
      {R"~(IsString(attributes["int"]))~", "false"},
      {R"~(IsString(attributes["missing"]))~", "false"},
      {R"~(IsInt(attributes["int"]))~", "true"},
      {R"~(IsInt(attributes["whole"]))~", "false"},
      {R"~(IsDouble(attributes["double"]))~", "true"},
      {R"~(IsDouble(attributes["int"]))~", "false"},
      {R"~(IsBool(attributes["no"]))~", "true"},
      {R"~(IsBool(attributes["str"]))~", "false"},
      {R"~(IsMap(attributes["map"]))~", "true"},
      {R"~(IsMap(attributes))~", "true"},
      {R"~(IsMap(attributes["list"]))~", "false"},
      {R"~(IsMap(attributes["missing"]))~", "false"},
      {R"~(IsList(attributes["list"]))~", "true"},
      {R"~(IsList(attributes["str"]))~", "false"},
      {R"~(IsList([1]))~", "true"},
      {R"~(IsList(events))~", "true"},
      {R"~(IsRootSpan())~", "true"},
      {R"~(IsRootSpan() and kind == 2)~", "true"},
      {R"~(IsRootSpan() == true)~", "true"},
  });
}

TEST_CASE("converters convert between types", "[decide]") {
  check({
      {R"~(Int(attributes["num.text"]) == 42)~", "true"},
      {R"~(Int(attributes["str"]) == nil)~", "true"},
      {R"~(Int(attributes["double"]) == 2)~", "true"},
      {R"~(Int(-2.9) == -2)~", "true"},
      {R"~(Int(attributes["yes"]) == 1)~", "true"},
      {R"~(Int(attributes["missing"]) == nil)~", "true"},
      {R"~(Int("+5") == 5)~", "true"},
      {R"~(Int("5_0") == nil)~", "true"},
      {R"~(Int("99999999999999999999") == nil)~", "true"},
      {R"~(Int(attributes["list"]) == nil)~", "error"},
      {R"~(Double(attributes["num.text"]) == 42.0)~", "true"},
      {R"~(Double("1e3") == 1000)~", "true"},
      {R"~(Double("0x1p4") == 16)~", "true"},
      {R"~(Double(attributes["str"]) == nil)~", "error"},
      {R"~(Double(attributes["missing"]) == nil)~", "true"},
      {R"~(Double(attributes["no"]) == 0)~", "true"},
      {R"~(String(attributes["int"]) == "42")~", "true"},
      {R"~(String(attributes["double"]) == "2.5")~", "true"},
      {R"~(String(attributes["whole"]) == "42")~", "true"},
      {R"~(String(attributes["yes"]) == "true")~", "true"},
      {R"~(String(attributes["bytes"]) == "01ff")~", "true"},
      {R"~(String(attributes["missing"]) == nil)~", "true"},
      {R"~(String(attributes["list"]) == "[\"one\",2,3]")~", "true"},
      {R"~(String(attributes["map"]) == "{\"inner\":[7],\"k\":\"v\"}")~", "true"},
      {R"~(String(1e-7 * 1.0) == "1e-7")~",
       "column 8: expected a number such as 12, -3 or 1.5e3, or \"...\" for a string"},
      {R"~(String(0.0000001) == "1e-7")~", "true"},
      {R"~(String(1000000000000000000000.0) == "1e+21")~", "true"},
      {R"~(Bool("t") == true)~", "true"},
      {R"~(Bool(attributes["int"]) == true)~", "true"},
      {R"~(Bool(attributes["missing"]) == nil)~", "true"},
      {R"~(IsEmpty(attributes["void"]))~", "true"},
      {R"~(IsEmpty(attributes["str"]))~", "false"},
      {R"~(IsEmpty(parent_span_id))~", "true"},
  });
}

TEST_CASE("converters of lists and maps", "[decide]") {
  check({
      {R"~(Len(attributes["str"]) == 5)~", "true"},
      {R"~(Len("é") == 2)~", "true"},
      {R"~(Len(attributes["list"]) == 3)~", "true"},
      {R"~(Len(attributes["map"]) == 2)~", "true"},
      {R"~(Len(attributes["bytes"]) == 2)~", "true"},
      {R"~(Len(attributes["int"]) == 2)~", "error"},
      {R"~(Len(attributes["missing"]) == 0)~", "error"},
      {R"~(ContainsValue(attributes["list"], "one"))~", "true"},
      {R"~(ContainsValue(attributes["list"], 3))~", "true"},
      {R"~(ContainsValue(attributes["list"], "two"))~", "false"},
      {R"~(ContainsValue(["a", "b"], attributes["str"]))~", "false"},
      {R"~(ContainsValue(["a", "hello"], attributes["str"]))~", "true"},
      {R"~(ContainsValue(attributes["str"], "h"))~", "error"},
      {R"~(ContainsValue(Split("a,b", ","), "b"))~", "true"},
      {R"~(Index("hello", "l") == 2)~", "true"},
      {R"~(Index(attributes["list"], 2) == 1)~", "true"},
      {R"~(Index(attributes["list"], 9) == -1)~", "true"},
      {R"~(Len(Keys(attributes["map"])) == 2)~", "true"},
      {R"~(ContainsValue(Values(attributes["map"]), "v"))~", "true"},
      {R"~(Coalesce([attributes["missing"], attributes["int"]]) == 42)~", "true"},
  });
}

TEST_CASE("converters of texts", "[decide]") {
  check({
      {R"~(Concat([attributes["str"], attributes["int"], true], "-") == "hello-42-true")~", "true"},
      {R"~(Concat([attributes["missing"], "a"], "") == "<nil>a")~", "true"},
      {R"~(Concat([], ",") == "")~", "true"},
      {R"~(Concat(vals = ["a", "b"], delimiter = "") == "ab")~", "true"},
      {R"~(Concat(delimiter = "", vals = ["a", "b"]) == "ab")~", "true"},
      {R"~(Substring(name, 0, 3) == "GET")~", "true"},
      {R"~(Substring(name, 4, 99) == "x")~", "error"},
      {R"~(Substring(name, 0, attributes["negative"]) == "x")~", "error"},
      {R"~(Substring(attributes["int"], 0, 1) == "4")~", "error"},
      {R"~(Substring("héllo", 0, 2, true) == "h")~", "true"},
      {R"~(Split("a,b,c", ",")[1] == "b")~", "true"},
      {R"~(Split(name, "/")[2] == "42")~", "true"},
      {R"~(Split(name, "/")[9] == "42")~", "error"},
      {R"~(Split(attributes["void"], ",")[0] == "")~", "true"},
      {R"~(Len(Split("abc", "")) == 3)~", "true"},
      {R"~(Split(attributes["int"], ",")[0] == "")~", "error"},
      {R"~(ToLowerCase(name) == "get /users/42")~", "true"},
      {R"~(ToUpperCase("straße é") == "STRAßE É")~", "true"},
      {R"~(ToLowerCase("ÀÉЖΣ") == "àéжσ")~", "true"},
      {R"~(ToUpperCase(attributes["missing"]) == "")~", "error"},
      {R"~(HasPrefix(name, "GET "))~", "true"},
      {R"~(HasPrefix(name, "POST "))~", "false"},
      {R"~(HasPrefix(attributes["missing"], "x"))~", "error"},
      {R"~(HasSuffix(name, "/42"))~", "true"},
      {R"~(Trim("  a ") == "a")~", "true"},
      {R"~(Trim("!!a!", "!") == "a")~", "true"},
      {R"~(ParseInt("ff", 16) == 255)~", "true"},
      {R"~(ParseInt("0b1111_0000", 0) == 240)~", "true"},
      {R"~(TrimPrefix("abc", "a") == "bc")~", "true"},
      {R"~(TrimSuffix("abc", "c") == "ab")~", "true"},
  });
}

TEST_CASE("converters of patterns", "[decide]") {
  check({
      {R"~(IsMatch(name, "^GET /users/[0-9]+$"))~", "true"},
      {R"~(IsMatch(name, "users"))~", "true"},
      {R"~(IsMatch(name, "^users"))~", "false"},
      {R"~(IsMatch(attributes["missing"], ".*"))~", "false"},
      {R"~(IsMatch(attributes["int"], "^42$"))~", "true"},
      {R"~(IsMatch(attributes["double"], "^2\\.5$"))~", "true"},
      {R"~(IsMatch(attributes["list"], "one"))~", "true"},
      {R"~(IsMatch(attributes["map"], "\"k\":\"v\""))~", "true"},
      {R"~(IsMatch("hello", attributes["str"]))~", "true"},
      {R"~(IsMatch("hello", attributes["missing"]))~", "error"},
      {R"~(IsMatch("hello", Concat(["(", attributes["str"]], "")))~", "error"},
      {R"~(ExtractPatterns(name, "/users/(?P<id>[0-9]+)")["id"] == "42")~", "true"},
      {R"~(Len(ExtractPatterns(name, "(?P<x>nothing)")) == 0)~", "true"},
      {R"~(ExtractPatterns(name, "(?P<x>nothing)")["x"] == nil)~", "error"},
      {R"~(ExtractPatterns(attributes["int"], "(?P<x>.)")["x"] == nil)~", "error"},
      {R"~(ExtractPatterns(name, "x"))~", "column 23: expected a pattern with at least one named group, (?P<name>...)"},
  });
}

TEST_CASE("converters of times and durations", "[decide]") {
  check({
      {R"~(Duration("1h") > Duration("59m"))~", "true"},
      {R"~(Milliseconds(end_time - start_time) == 1500)~", "true"},
      {R"~(Seconds(end_time - start_time) == 1.5)~", "true"},
      {R"~(Nanoseconds(Duration("1us")) == 1000)~", "true"},
      {R"~(Microseconds(Duration("1ms")) == 1000)~", "true"},
      {R"~(Minutes(Duration("90s")) == 1.5)~", "true"},
      {R"~(Hours(Duration("90m")) == 1.5)~", "true"},
      {R"~(Milliseconds(attributes["int"]) == 1)~", "error"},
      {R"~(UnixNano(start_time) == 1700000000123456789)~", "true"},
      {R"~(UnixMilli(start_time) == 1700000000123)~", "true"},
      {R"~(UnixSeconds(Time("1969-12-31 23:59:58.5 UTC", "%Y-%m-%d %H:%M:%S %Z")) == -2)~", "true"},
      {R"~(Unix(1700000000, 123456789) == start_time)~", "true"},
      {R"~(Year(start_time) == 2023 and Month(start_time) == 11 and Day(start_time) == 14)~", "true"},
      {R"~(Hour(start_time) == 22 and Minute(start_time) == 13 and Second(start_time) == 20)~", "true"},
      {R"~(Nanosecond(start_time) == 123456789)~", "true"},
      {R"~(Weekday(start_time) == 2)~", "true"},
      {R"~(Hour(attributes["int"]) == 22)~", "error"},
      {R"~(UnixSeconds(Time("2023-11-14 22:13:20", "%Y-%m-%d %H:%M:%S", "UTC")) == 1700000000)~", "true"},
      {R"~(UnixSeconds(Time(attributes["when"], "%F %T", "UTC")) == 1700000000)~", "true"},
      {R"~(Time("2023-11-14T22:13:20Z", "%Y-%m-%dT%H:%M:%S%z") < start_time)~", "true"},
      {R"~(UnixSeconds(Time("2023-11-14 17:13:20", "%Y-%m-%d %H:%M:%S", "America/New_York")) == 1700000000)~", "true"},
      {R"~(Hour(Time("2023-11-14 17:13:20", "%Y-%m-%d %H:%M:%S", "America/New_York")) == 17)~", "true"},
      {R"~(UnixSeconds(Time("Nov 14, 2023 10:13:20 pm +0000", "%b %d, %Y %I:%M:%S %P %z")) == 1700000000)~", "true"},
      {R"~(UnixSeconds(Time("14/11/23 22:13 -0500", "%g/%q/%y %R %z")) == 1700017980)~", "true"},
      {R"~(UnixNano(Time("2023-11-14 22:13:20.250", "%Y-%m-%d %H:%M:%S.%L", "UTC")) == 1700000000250000000)~", "true"},
      {R"~(UnixSeconds(Time("2023-11-14 15:13:20 MST", "%F %T %Z")) == 1700000000)~", "true"},
      {R"~(Time(attributes["str"], "%Y") == start_time)~", "error"},
      {R"~(Time("2023-02-30", "%Y-%m-%d", "UTC") == start_time)~", "error"},
      {R"~(Time("x", "%Q") == start_time)~", "column 11: expected a known time directive, got '%Q'"},
      {R"~(Time("x", "%Y", "Mars/Olympus") == start_time)~",
       "column 17: expected a time zone such as \"America/New_York\""},
      {R"~(Now() > start_time)~", "true"},
  });
}

TEST_CASE("converters that hash, encode and parse", "[decide]") {
  check({
      {R"~(FNV("hello") == -6615550055289275125)~", "true"},
      {R"~(FNV(attributes["int"]) == 1)~", "error"},
      {R"~(SHA256(attributes["str"]) == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")~", "true"},
      {R"~(SHA1("hello") == "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d")~", "true"},
      {R"~(MD5("hello") == "5d41402abc4b2a76b9719d911017c592")~", "true"},
      {R"~(HasPrefix(SHA512("hello"), "9b71d224bd62f3785d96d46ad3ea3d73"))~", "true"},
      {R"~(Hex(attributes["bytes"]) == "01ff")~", "true"},
      {R"~(Hex(12) == "000000000000000c")~", "true"},
      {R"~(Hex("1") == "31")~", "true"},
      {R"~(Base64Decode("aGVsbG8=") == "hello")~", "true"},
      {R"~(Base64Decode(attributes["str"]) == "hello")~", "error"},
      {R"~(TraceID(0x0102030405060708090a0b0c0d0e0f10) == trace_id)~", "true"},
      {R"~(SpanID(0x0102030405060708) == span_id)~", "true"},
      {R"~(TraceID(0x01) == trace_id)~", "column 1: TraceID: expected 16 bytes or 32 hexadecimal digits"},
      {R"~(ParseJSON(attributes["json"])["n"] == 1.5)~", "true"},
      {R"~(ParseJSON(attributes["json"])["a"]["b"][1] == "two")~", "true"},
      {R"~(ParseJSON(attributes["json"])["a"]["b"][0] == 1)~", "true"},
      {R"~(ParseJSON(attributes["json"])["t"] == true)~", "true"},
      {R"~(ParseJSON(attributes["json"])["none"] == nil)~", "error"},
      {R"~(ParseJSON(attributes["str"])["none"] == nil)~", "error"},
      {R"~(Len(ParseJSON("[1,2]")) == 2)~", "true"},
      {R"~(ParseJSON("[\"hi \\ud83d\"]")[0] == "hi \uFFFD")~", "true"},
      {R"~(ParseJSON("[1,2]") == [1.0, 2.0])~", "true"},
  });
}

TEST_CASE("converters of addresses and URLs", "[decide]") {
  check({
      {R"~(IsInCIDR(attributes["ip"], ["192.168.0.0/16", "10.0.0.0/8"]))~", "true"},
      {R"~(IsInCIDR(attributes["ip"], ["192.168.0.0/16"]))~", "false"},
      {R"~(IsInCIDR(attributes["str"], ["0.0.0.0/0"]))~", "false"},
      {R"~(IsInCIDR("fd00::7", ["10.0.0.0/8", "fd00::/8"]))~", "true"},
      {R"~(IsInCIDR("10.1.2.3", ["::/0"]))~", "false"},
      {R"~(IsInCIDR("::ffff:10.1.2.3", ["10.0.0.0/8"]))~", "true"},
      {R"~(IsInCIDR("10.1.2.3", ["10.1.2.0/30"]))~", "true"},
      {R"~(IsInCIDR("10.1.2.4", ["10.1.2.0/30"]))~", "false"},
      {R"~(IsInCIDR(attributes["int"], ["10.0.0.0/8"]))~", "error"},
      {R"~(URL(attributes["url"])["url.domain"] == "shop.example")~", "true"},
      {R"~(URL(attributes["url"])["url.port"] == 8443)~", "true"},
      {R"~(URL(attributes["url"])["url.scheme"] == "https")~", "true"},
      {R"~(URL(attributes["url"])["url.path"] == "/cart/item.html")~", "true"},
      {R"~(URL(attributes["url"])["url.query"] == "id=7&x=y")~", "true"},
      {R"~(URL(attributes["url"])["url.fragment"] == "top")~", "true"},
      {R"~(URL(attributes["url"])["url.extension"] == "html")~", "true"},
      {R"~(URL(attributes["url"])["url.username"] == "me")~", "true"},
      {R"~(URL(attributes["url"])["url.password"] == "secret")~", "true"},
      {R"~(URL(attributes["url"])["url.user_info"] == "me:secret")~", "true"},
      {R"~(URL("http://a/b%20c")["url.path"] == "/b c")~", "true"},
      {R"~(URL("/only/path")["url.domain"] == "")~", "true"},
      {R"~(URL("http://[::1]:80/")["url.domain"] == "::1")~", "true"},
      {R"~(URL(attributes["void"])["url.path"] == "")~", "error"},
      {R"~(URL(Concat([attributes["str"], "://a:b/"], ""))["url.path"] == "")~", "error"},
      {R"~(URL("?a=1&a=2&b")["query"]["a"][1] == "2")~", "true"},
  });
}

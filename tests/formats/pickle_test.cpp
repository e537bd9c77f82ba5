// Pickles, the bad ones PB20 to PB43 and PB52 to PB55 of the catalogue.

#include "libradgpt/formats/pickle.h"

#include <string>
#include <vector>

#include "tests/formats/pickle_bytes.h"
#include "tests/formats/refusal.h"

namespace radgpt {
namespace {

const std::string kTensor = float_tensor_op("0", {2, 3});

/// A pickle of {"w": value}.
std::string with_value(const std::string& value) { return dict_pickle({{"w", value}}); }

std::string with_storage(const std::string& storage) {
  return with_value(tensor_op(storage, 0, {2}, {1}));
}

void check_refused(const std::vector<BadBytes>& rows) {
  for (const BadBytes& row : rows) {
    INFO(row.name);
    check_message(refusal([&] { parse_tensor_pickle(row.bytes, "data.pkl"); }), "data.pkl",
                  row.said);
  }
}

TEST_CASE("Pickle: reads what torch.save writes of a model's state") {
  const std::string metadata = "}" + string_op("_metadata") + kOrderedDictOp + string_op("") + "}" +
                               string_op("version") + "K\x01" + "sss";
  const std::string view =
      tensor_op(storage_op("BFloat16Storage", "12", 1 << 20), 70'000, {3, 1, 2}, {1, 7, 300});
  const std::string pickle = kPickleStart + kOrderedDictOp + "q" + std::string(1, '\0') + "(" +
                             string_op("层.a") + kTensor + "q\x01" + string_op("b") + view + "u" +
                             metadata + "b.";
  const std::vector<PickledTensor> tensors = parse_tensor_pickle(pickle, "x");
  REQUIRE(tensors.size() == 2);
  CHECK(tensors[0].name == "层.a");
  CHECK(tensors[0].dtype == DataType::kF32);
  CHECK(tensors[0].storage == "0");
  CHECK(tensors[0].storage_elements == 6);
  CHECK(tensors[0].shape == Shape{2, 3});
  CHECK(tensors[0].strides == Shape{3, 1});
  CHECK(tensors[1].dtype == DataType::kBF16);
  CHECK(tensors[1].storage == "12");
  CHECK(tensors[1].storage_elements == 1 << 20);
  CHECK(tensors[1].offset == 70'000);
  CHECK(tensors[1].shape == Shape{3, 1, 2});
  CHECK(tensors[1].strides == Shape{1, 7, 300});
}

TEST_CASE("Pickle: reads parameters, and numbers of every size") {
  const std::string parameter = global_op("torch._utils", "_rebuild_parameter") +
                                tuple_op(kTensor + "\x88" + kOrderedDictOp) + "R";
  CHECK(parse_tensor_pickle(with_value(parameter), "x").at(0).shape == Shape{2, 3});
  const auto elements_of = [](const std::string& number) {
    const std::string storage = tuple_op(string_op("storage") + global_op("torch", "HalfStorage") +
                                         string_op("0") + string_op("cpu") + number) +
                                "Q";
    return parse_tensor_pickle(with_storage(storage), "x").at(0).storage_elements;
  };
  CHECK(elements_of("K\xFF") == 255);
  CHECK(elements_of("M\xFF\xFF") == 65535);
  CHECK(elements_of("J\xFF\xFF\xFF\x7F") == INT32_MAX);
  CHECK(elements_of(std::string("\x8A\x05\0\0\0\0\x01", 7)) == int64_t{1} << 32);
  CHECK(elements_of("\x8A\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F") == INT64_MAX);
}

TEST_CASE("Pickle: refuses one that does not begin or end as torch.save's") {
  check_refused({
      {"empty", "", {"1 more byte"}},
      {"PB20 no PROTO", "}.", {"byte 0", "protocol 2"}},
      {"PB21 protocol 4", "\x80\x04}.", {"byte 0", "protocol 2"}},
      {"PB22 no STOP", kPickleStart + "}", {"byte 3", "more bytes"}},
      {"PB23 data after STOP", kPickleStart + "}." + kSecret, {"byte 3", "STOP", "behind it"}},
      {"PB40 STOP under a mark", kPickleStart + "}(.", {"byte 4", "no mark"}},
      {"PB40 STOP with two values", kPickleStart + "}}.", {"byte 4", "one value"}},
      {"STOP with no value", kPickleStart + ".", {"byte 2", "one value"}},
      {"result is no dict", kPickleStart + ").", {"must be a dict of tensors", "a tuple"}},
  });
}

TEST_CASE("Pickle: refuses every global that could run code") {
  const std::string rule = "GLOBAL must be one of those that weights need";
  const std::string stack_global = string_op("os") + string_op("system") + "\x93";
  check_refused({
      {"PB24 os.system", with_value(global_op("os", "system") + "(tR"), {rule, "os.system"}},
      {"PB24 posix.system", with_value(global_op("posix", "system")), {rule, "posix.system"}},
      {"PB25 builtins.eval", with_value(global_op("builtins", "eval")), {rule, "builtins.eval"}},
      {"PB26 numpy",
       with_value(global_op("numpy.core.multiarray", "_reconstruct")),
       {rule, "numpy.core.multiarray._reconstruct"}},
      {"PB27 STACK_GLOBAL", with_value(stack_global), {"opcode 147"}},
      {"PB28 INST", with_value("(ios\nsystem\n"), {"opcode 105"}},
      {"PB29 OBJ", with_value("(" + global_op("collections", "OrderedDict") + "o"), {"opcode 111"}},
      {"PB30 NEWOBJ",
       with_value(global_op("collections", "OrderedDict") + ")\x81"),
       {"opcode 129"}},
      {"PB30 NEWOBJ_EX", with_value("\x92"), {"opcode 146"}},
      {"PB31 EXT1", with_value("\x82\x01"), {"opcode 130"}},
      {"PB43 unknown storage type",
       with_storage(storage_op("LongStorage", "0", 6)),
       {rule, "torch.LongStorage"}},
      {"PB52 quantised",
       with_value(global_op("torch._utils", "_rebuild_qtensor")),
       {rule, "_rebuild_qtensor"}},
      {"PB52 sparse",
       with_value(global_op("torch._utils", "_rebuild_sparse_tensor")),
       {rule, "_rebuild_sparse_tensor"}},
      {"an ending that is added", with_value(global_op("torch", "FloatStorage.x")), {rule}},
      {"a name with other bytes",
       with_value(global_op(kSecret + "\x1B", "x")),
       {rule, "a name of 13 bytes"}},
      {"a name of two lines", with_value("ctorch"), {"GLOBAL", "two lines"}},
      {"PROTO once more", with_value("\x80\x02"), {"opcode 128"}},
      {"BINFLOAT", with_value("G12345678"), {"opcode 71"}},
      {"EMPTY_LIST", with_value("]"), {"opcode 93"}},
      {"POP", with_value("NN0"), {"opcode 48"}},
  });
}

TEST_CASE("Pickle: refuses calls of the globals with what torch.save never gives them") {
  const std::string rebuild = global_op("torch._utils", "_rebuild_tensor_v2");
  const std::string storage = storage_op("FloatStorage", "0", 6);
  const std::string rest = "\x89" + kOrderedDictOp;
  const auto call = [&](const std::string& arguments) {
    return with_value(rebuild + tuple_op(arguments) + "R");
  };
  const std::string good = storage + "K" + std::string(1, '\0') + shape_op({6}) + shape_op({1});
  const std::string arguments = "arguments that torch.save gives";
  const std::string metadata = "}" + string_op("neg") + "\x88s";
  check_refused({
      {"PB32 REDUCE of a string", with_value(string_op(kSecret) + ")R"), {"REDUCE", "a string"}},
      {"PB32 REDUCE of a storage type",
       with_value(global_op("torch", "FloatStorage") + ")R"),
       {"REDUCE", "a storage's type"}},
      {"REDUCE without a tuple", with_value(rebuild + "NR"), {"REDUCE", "a tuple", "got None"}},
      {"PB33 BUILD on a tensor", with_value(kTensor + "}b"), {"BUILD", "a tensor"}},
      {"PB33 BUILD on a dict", with_value("}}b"), {"BUILD", "a dict for a dict"}},
      {"BUILD with a tuple", with_value(kOrderedDictOp + ")b"), {"BUILD", "a tuple"}},
      {"OrderedDict of something",
       with_value(global_op("collections", "OrderedDict") + tuple_op("}") + "R"),
       {arguments}},
      {"too few", call(storage), {arguments, "got 1"}},
      {"a shape of strings",
       call(storage + "K" + std::string(1, '\0') + tuple_op(string_op("6")) + shape_op({1}) + rest),
       {arguments}},
      {"a shape that is a number", call(storage + "K\x01K\x06K\x01" + rest), {arguments}},
      {"an offset that is a bool",
       call(storage + "\x88" + shape_op({6}) + shape_op({1}) + rest),
       {arguments}},
      {"hooks", call(good + "\x89" + metadata), {arguments}},
      {"metadata that negates", call(good + rest + metadata), {arguments, "got 7"}},
      {"a parameter of a storage",
       with_value(global_op("torch._utils", "_rebuild_parameter") + tuple_op(storage + rest) + "R"),
       {arguments}},
      {"PB42 persistent id that is no tuple",
       with_value(string_op(kSecret) + "Q"),
       {"persistent id", "tuple of 5", "a string"}},
      {"PB42 of 4 values", with_value(tuple_op("NNNN") + "Q"), {"persistent id", "of 4"}},
      {"PB42 of other kinds", with_value(tuple_op("NNNNN") + "Q"), {"value 0", "a string"}},
      {"PB42 of no storage",
       with_value(tuple_op(string_op("module") + global_op("torch", "FloatStorage") +
                           string_op("0") + string_op("cpu") + "K\x06") +
                  "Q"),
       {"must name a storage"}},
      {"PB43 a storage of no type",
       with_value(tuple_op(string_op("storage") + global_op("collections", "OrderedDict") +
                           string_op("0") + string_op("cpu") + "K\x06") +
                  "Q"),
       {"value 1", "a storage's type", "got OrderedDict"}},
  });
}

TEST_CASE("Pickle: refuses stacks, dicts and memos that do not add up") {
  check_refused({
      {"PB34 memo index 2^32-1",
       kPickleStart + "}r\xFF\xFF\xFF\xFF.",
       {"byte 3", "at most 0", "4294967295"}},
      {"PB34 memo index 1 first", kPickleStart + "}q\x01.", {"byte 3", "at most 0", "got 1"}},
      {"PB35 string of 4 GB", kPickleStart + "X\xFF\xFF\xFF\xFF.", {"byte 2", "65536 bytes"}},
      {"PB35 string past the end",
       kPickleStart + "X\xFF" + std::string(3, '\0') + "abc",
       {"byte 2", "255 more bytes"}},
      {"string not UTF-8", with_value("X\x01" + std::string(3, '\0') + "\xFF"), {"UTF-8"}},
      {"PB37 SETITEMS odd", kPickleStart + "}(" + string_op("a") + "u.", {"pairs", "got 1"}},
      {"PB38 SETITEM on a tuple",
       kPickleStart + ")" + string_op("a") + "Ns.",
       {"set in a dict", "a tuple"}},
      {"PB39 SETITEM alone", kPickleStart + "s.", {"byte 2", "2 values", "got 0"}},
      {"PB39 TUPLE3 of two", kPickleStart + "NN\x87.", {"3 values", "got 2"}},
      {"PB39 REDUCE across a mark", kPickleStart + "N(NR.", {"1 values", "got 0"}},
      {"PB39 BINPUT of nothing", kPickleStart + "q" + std::string(1, '\0') + ".", {"1 values"}},
      {"PB40 TUPLE without a mark", kPickleStart + "Nt.", {"a mark", "got none"}},
      {"PB40 SETITEMS without a mark", kPickleStart + "}u.", {"a mark", "got none"}},
      {"PB41 BINGET unset", kPickleStart + "h" + std::string(1, '\0') + ".", {"below 0", "got 0"}},
      {"PB41 LONG_BINGET unset",
       kPickleStart + "}q" + std::string(1, '\0') + "j\x01" + std::string(3, '\0') + ".",
       {"below 1", "got 1"}},
      {"PB54 key not a string", kPickleStart + "}K\x01" + kTensor + "s.", {"key", "an integer"}},
      {"PB54 key a tuple", kPickleStart + "})" + kTensor + "s.", {"key", "a tuple"}},
      {"LONG1 of 9 bytes", with_value("\x8A\x09" + std::string(9, '\x01')), {"8 bytes", "got 9"}},
      {"LONG1 past the end",
       kPickleStart + "\x8A\x08"
                      "1",
       {"8 more bytes"}},
  });
}

TEST_CASE("Pickle: refuses bombs within time and memory") {
  const std::string doubling =
      kPickleStart + "N" +
      repeated("q" + std::string(1, '\0') + "h" + std::string(1, '\0') + "\x86", 100'000) + ".";
  const std::string zero(1, '\0');
  const std::string long_shape = kPickleStart + global_op("torch._utils", "_rebuild_tensor_v2") +
                                 "q" + zero + "(" + storage_op("FloatStorage", "0", 6) + "K" +
                                 zero + "q\x01" + tuple_op(repeated("h\x01", 900'000)) +
                                 shape_op({1}) + "\x89" + kOrderedDictOp + "tq\x02" +
                                 repeated("h" + zero + "h\x02R", 220'000) + ".";
  check_refused({
      {"220k views of one shape of 900k sizes", long_shape, {"arguments that torch.save gives"}},
      {"PB36 200k nested tuples",
       kPickleStart + "N" + std::string(200'000, '\x85') + ".",
       {"nested at most 64"}},
      {"tuples of the tuple before", doubling, {"nested at most 64"}},
      {"a dict in itself",
       kPickleStart + "}q" + std::string(1, '\0') +
           repeated(string_op("a") + "h" + std::string(1, '\0') + "s", 100) + ".",
       {"nested at most 64"}},
      {"20 million values on the stack",
       kPickleStart + std::string(20'000'000, 'N'),
       {"1000000 values on its stack"}},
      {"20 million marks", kPickleStart + std::string(20'000'000, '('), {"1000000 marks"}},
      {"values that are dropped",
       kPickleStart + kOrderedDictOp + repeated("}b", 10'000'000) + ".",
       {"hold at most 2000000"}},
      {"70 MB", kPickleStart + std::string(70'000'000, 'N'), {"at most 67108864 bytes"}},
  });
}

}  // namespace
}  // namespace radgpt

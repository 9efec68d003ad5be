// Tensors without plain numbers, in models, at every level: recorded or passed over, and nothing hangs.
#include <ATen/ATen.h>
#include <ATen/ThreadLocalState.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/embedding.h>

#include <atomic>
#include <thread>

#include "tests/inspect/models.h"

namespace amp::tests::odd_tensors_test {
namespace {

// Embedding and EmbeddingBag with sparse gradients, and a linear layer.
struct SparseNetImpl : torch::nn::Module {
  SparseNetImpl()
      : rows(torch::nn::EmbeddingOptions(8, 4).sparse(true)),
        bags(torch::nn::EmbeddingBagOptions(8, 4).sparse(true).mode(torch::kSum)),
        out(4, 3) {
    register_module("rows", rows);
    register_module("bags", bags);
    register_module("out", out);
  }
  at::Tensor forward(const at::Tensor& indices) {
    return out(rows(indices).sum(1) + bags(indices));
  }
  torch::nn::Embedding rows;
  torch::nn::EmbeddingBag bags;
  torch::nn::Linear out;
};
TORCH_MODULE(SparseNet);

// What a model may do on its way, beside what it computes.
at::Tensor odd_work(const at::Tensor& x) {
  const auto plain = x.detach().to(at::kFloat);
  const auto quantized = at::quantize_per_tensor(plain, 0.1, 0, at::kQInt8);
  auto sum = quantized.dequantize().sum() + at::dequantize(quantized.clone()).sum();
  sum = sum + at::fft_irfft(at::fft_rfft(plain)).sum() + at::view_as_real(at::fft_fft(plain)).sum();
  const auto sparse = plain.relu().to_sparse();
  sum = sum + plain.sparse_mask(sparse.coalesce()).to_dense().sum();
  sum = sum + at::mm(sparse, plain.t()).sum() + plain.to_sparse_csr().to_dense().sum();
  auto doubled = sparse.clone();
  doubled.mul_(2).add_(sparse);
  const auto meta = at::empty({3, 4}, at::TensorOptions(at::kMeta));
  static_cast<void>(at::sigmoid(at::mm(meta, meta.t())).mul_(2));
  const auto nested = at::_nested_tensor_from_tensor_list({plain[0], plain[1].narrow(0, 0, 2)});
  sum = sum + at::relu(nested * 2).to_padded_tensor(0).sum();
  static_cast<void>(at::relu(at::empty({0, 4})).sum());
  static_cast<void>(at::_efficientzerotensor({2, 2}) + plain.narrow(0, 0, 1).sum());
  static_cast<void>(plain.to(at::kFloat8_e4m3fn).to(at::kFloat));
  static_cast<void>(plain.to(at::kLong).add_(1).bitwise_and(3));
  static_cast<void>(plain.gt(0).logical_not_());
  static_cast<void>(at::full({}, 3.0).mul_(2));
  static_cast<void>(plain.t().mul(2).t().narrow(1, 1, 2).exp());
  auto emptied = at::ones({4});
  emptied.storage().unsafeGetStorageImpl()->set_nbytes(0);
  static_cast<void>(emptied.view({2, 2}));
  const auto attended =
      at::scaled_dot_product_attention(plain.unsqueeze(0), plain.unsqueeze(0), plain.unsqueeze(0));
  return sum * 0 + attended.sum() * 0;
}

struct Watched {
  InspectLevel level;
  bool comparison;
};

class OddTensors : public testing::TestWithParam<Watched> {
 protected:
  // The weights after three steps.
  static std::vector<at::Tensor> trained(SparseNet& net, const Recipe& recipe,
                                         Inspector* inspector) {
    torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(0.1));
    TrainStep train_step(*net, optimizer, recipe);
    for (std::int64_t step = 0; step < 3; ++step) {
      if (inspector != nullptr) inspector->begin_step(step, train_step.scaler().get_scale());
      const auto report = train_step([&] {
        const auto logits = net->forward(at::tensor({1, 2, 3, 3, 5, 7}).view({2, 3}));
        return loss_of(logits, at::tensor({0, 2}, at::kLong)) + odd_work(logits);
      });
      if (inspector != nullptr) inspector->end_step(report);
    }
    return net->parameters();
  }
};

TEST_P(OddTensors, ChangeNothingAndAreSurvived) {
  for (const auto& recipe : {Recipe::fp32(), Recipe::bf16()}) {
    at::manual_seed(5);
    SparseNet plain;
    at::manual_seed(5);
    SparseNet watched;
    InspectorOptions options{.level = GetParam().level, .every = 2};
    if (GetParam().comparison) options.fp32_comparison = Format::bf16;
    Inspector inspector(*watched, options);
    const auto expected = trained(plain, recipe, nullptr);
    const auto weights = trained(watched, recipe, &inspector);
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(weights[i].equal(expected[i]));
    EXPECT_EQ(inspector.diagnosis().verdict, Verdict::clean) << inspector.diagnosis().sentence;
    EXPECT_FALSE(inspector.to_json().empty());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Levels, OddTensors,
    testing::Values(Watched{InspectLevel::off, false}, Watched{InspectLevel::steps, false},
                    Watched{InspectLevel::sampled, false}, Watched{InspectLevel::sampled, true},
                    Watched{InspectLevel::full, false}, Watched{InspectLevel::full, true}));

// Row 1 twice and row 3 once, each with a gradient of 3 in two columns.
TEST(SparseGradients, AreRecordedByTheirValues) {
  torch::nn::Embedding rows(torch::nn::EmbeddingOptions(4, 2).sparse(true));
  Inspector inspector(*rows);
  inspector.begin_step(0);
  (rows(at::tensor({1, 1, 3})).sum() * 3).backward();
  inspector.end_step();
  const auto& gradient = inspector.parameters().at(0).gradient;
  EXPECT_EQ(gradient.statistics.amax, 3);
  EXPECT_EQ(gradient.statistics.total, 6);
  EXPECT_EQ(inspector.parameters().at(0).gradients, 1);
}

TEST(SparseGradients, ThatAreNotFiniteAreFound) {
  torch::nn::Embedding rows(torch::nn::EmbeddingOptions(4, 2).sparse(true));
  for (const auto level : {InspectLevel::steps, InspectLevel::full}) {
    rows->zero_grad();
    Inspector inspector(*rows, {.level = level});
    inspector.begin_step(0);
    (rows(at::tensor({1, 1, 3})) * at::full({}, std::numeric_limits<float>::infinity()))
        .sum()
        .backward();
    inspector.end_step(true);
    ASSERT_TRUE(inspector.first_non_finite().has_value());
    EXPECT_EQ(inspector.first_non_finite()->culprits, std::vector<std::string>{"weight"});
  }
}

TEST(Threads, EachWithAnInspectorOfItsOwn) {
  std::vector<std::thread> threads;
  std::atomic<int> clean = 0;
  for (int number = 0; number < 4; ++number) {
    threads.emplace_back([&clean, number] {
      SparseNet net;
      Inspector inspector(*net);
      for (std::int64_t step = 0; step < 10; ++step) {
        inspector.begin_step(step);
        loss_of(net->forward(at::full({2, 3}, number, at::kLong)), at::tensor({0, 2}, at::kLong))
            .backward();
        inspector.end_step();
        if (inspector.ops().empty() || inspector.ops().front().op.empty()) return;
      }
      clean += inspector.diagnosis().verdict == Verdict::clean ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(clean, 4);
}

// It took over the callbacks while a step was recorded, and goes on when step and Inspector are gone.
TEST(Threads, ThatAreLateFindNobody) {
  std::atomic<bool> running = false, over = false;
  std::thread late;
  {
    SparseNet net;
    Inspector inspector(*net);
    inspector.begin_step(0);
    late = std::thread([&, state = at::ThreadLocalState()] {
      const at::ThreadLocalStateGuard guard(state);
      auto x = at::ones({16, 16});
      while (!over) {
        x = at::mm(x, x).div_(16);
        running = true;
      }
    });
    while (!running) std::this_thread::yield();
    for (std::int64_t step = 1; step < 20; ++step) {
      loss_of(net->forward(at::ones({2, 3}, at::kLong)), at::tensor({0, 2}, at::kLong)).backward();
      inspector.end_step();
      inspector.begin_step(step);
    }
    inspector.end_step();
  }
  over = true;
  late.join();
  SparseNet net;
  Inspector inspector(*net);
  inspector.begin_step(0);
  loss_of(net->forward(at::ones({2, 3}, at::kLong)), at::tensor({0, 2}, at::kLong)).backward();
  inspector.end_step();
  EXPECT_EQ(inspector.diagnosis().verdict, Verdict::clean);
}

}  // namespace
}  // namespace amp::tests::odd_tensors_test

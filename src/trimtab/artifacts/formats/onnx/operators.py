"""The operators of ONNX's own domains that cannot fail, whatever the values of their inputs.

Runtimes run nodes whose results nobody reads, and stop when one of them fails: an index out of range, a shape that does
not fit, a division by zero, an unknown category. So an input is dead for certain only where none of the nodes that it
leads to can do that. An operator that is not listed here is taken for one that can.

Source: the operators' definitions (onnx/docs/Operators.md and Operators-ml.md), and onnxruntime's checks.
"""

from __future__ import annotations

NEVER_FAIL = frozenset(
    name.encode()
    for name in (
        # element by element
        *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor"),
        *("Identity", "IsInf", "IsNaN", "Log", "Neg", "Not", "Reciprocal", "Round", "Sign", "Sin", "Sinh", "Sqrt"),
        *("Tan", "Tanh", "BitwiseNot", "Add", "Sub", "Mul", "Max", "Min", "Mean", "Sum", "And", "Or", "Xor", "Where"),
        *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "BitwiseAnd", "BitwiseOr", "BitwiseXor"),
        # activations
        *("Celu", "Elu", "Gelu", "HardSigmoid", "HardSwish", "Hardmax", "LeakyRelu", "LogSoftmax", "Mish", "PRelu"),
        *("Relu", "Selu", "Sigmoid", "Softmax", "Softplus", "Softsign", "Swish", "ThresholdedRelu"),
        # layers
        *("AveragePool", "BatchNormalization", "Conv", "Gemm", "GlobalAveragePool", "GlobalMaxPool"),
        *("InstanceNormalization", "LayerNormalization", "MatMul", "MaxPool", "RMSNormalization"),
        # shapes
        *("Concat", "Constant", "Flatten", "Shape", "Size", "Transpose"),
        # branches; what they do is looked at by itself
        "If",
        # of scikit-learn's like
        *("Binarizer", "Imputer", "LinearClassifier", "LinearRegressor", "Normalizer", "Scaler"),
        *("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"),
    )
)

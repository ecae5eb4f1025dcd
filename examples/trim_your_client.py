"""Make the client that you have send only what the model uses: trim_your_client.py ADDRESS BUNDLE"""

import sys

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from trimtab import BundleLoader, Trimmer
from trimtab.serving.interceptor import TrimInterceptor

trimmer = Trimmer(BundleLoader([sys.argv[2]]).current)
channel = grpc.intercept_channel(grpc.insecure_channel(sys.argv[1]), TrimInterceptor(trimmer))
inputs = [{"name": name, "datatype": "FP32", "shape": [2, 1]} for name in ("price", "age")]  # the model uses one
request = service_pb2.ModelInferRequest(model_name="price", inputs=inputs, raw_input_contents=[bytes(8)] * 2)
print(service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request).outputs)

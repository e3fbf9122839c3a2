"""Ask askfleet with LangChain: ChatOpenAI with another base_url.

pip install langchain-openai
AF_URL=http://127.0.0.1:8080 AF_API_KEY=... python langchain_client.py "How do I reset the hub?"
"""

import argparse
import os

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask askfleet a question through LangChain.")
    parser.add_argument("question")
    parser.add_argument("--url", default=os.environ.get("AF_URL", "http://127.0.0.1:8080"))
    parser.add_argument("--key", default=os.environ.get("AF_API_KEY", "none"))
    options = parser.parse_args()

    model = ChatOpenAI(
        model="askfleet", base_url=f"{options.url}/v1", api_key=options.key, stream_usage=True, max_retries=1
    )
    tokens = 0
    for chunk in model.stream([HumanMessage(options.question)]):
        print(chunk.text, end="", flush=True)
        if chunk.usage_metadata is not None:
            tokens = chunk.usage_metadata["output_tokens"]
    print(f"\n({tokens} tokens)")


if __name__ == "__main__":
    main()

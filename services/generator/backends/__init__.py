"""Model servers behind one port: our own on a CPU, TGI, vLLM."""

"""The LTX-2 family: picture and sound denoised together by one transformer."""
